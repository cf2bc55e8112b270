// How many cores a process may use: fewer than the machine has, where it is bound to some, or a container gives it only
// so much of their time.
#pragma once

#include <optional>
#include <string>

namespace kuaixun {

// At least one. The container's quota is read once in a process.
unsigned usable_cores();

// The cores that control groups leave a process time for, a part of one counted whole; nothing where none has a quota.
// `membership` is what Linux says in /proc/self/cgroup, `mount` where the groups' folders stand, of version 2
// (cpu.max) or of version 1 (cpu.cfs_quota_us).
std::optional<unsigned> quota_cores(const std::string& membership, const std::string& mount);

}  // namespace kuaixun
