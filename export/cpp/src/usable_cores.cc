#include "usable_cores.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace kuaixun {
namespace {

// "200000 100000": microseconds of processor time in each period. "max", or -1, which is no quota, gives nothing.
std::optional<unsigned> cores_of(std::istream&& quota_and_period) {
  double quota = 0.0;
  double period = 0.0;
  if (!(quota_and_period >> quota >> period) || !(quota > 0.0 && period > 0.0)) return std::nullopt;
  return static_cast<unsigned>(std::min(std::ceil(quota / period), 1e6));
}

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void take_lower(std::optional<unsigned>& cores, std::optional<unsigned> other) {
  if (other) cores = std::min(*other, cores.value_or(*other));
}

// Of a group and of all that hold it. A container may see its own group's folder as the root, whatever its name.
std::optional<unsigned> lowest_quota(const std::string& hierarchy, std::string group) {
  std::optional<unsigned> lowest;
  for (;; group.resize(group.rfind('/'))) {
    const std::string folder = hierarchy + group + "/";
    take_lower(lowest, cores_of(std::istringstream(content_of(folder + "cpu.max"))));
    take_lower(lowest, cores_of(std::istringstream(content_of(folder + "cpu.cfs_quota_us") + " " +
                                                   content_of(folder + "cpu.cfs_period_us"))));
    if (group.find('/') == std::string::npos) return lowest;
  }
}

bool names_cpu(const std::string& controllers) {
  std::istringstream names(controllers);
  for (std::string name; std::getline(names, name, ',');) {
    if (name == "cpu") return true;
  }
  return false;
}

unsigned bound_cores() {
#if defined(__linux__)
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return static_cast<unsigned>(CPU_COUNT(&cores));
#endif
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace

std::optional<unsigned> quota_cores(const std::string& membership, const std::string& mount) {
  std::optional<unsigned> cores;
  std::istringstream lines(membership);
  // Hierarchy number, controllers, group: "0::/system.slice" of version 2, "4:cpu,cpuacct:/docker/3f" of version 1.
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string group = line.substr(second + 1);
    if (group == "/") group.clear();
    if (controllers.empty()) {
      take_lower(cores, lowest_quota(mount, group));
    } else if (names_cpu(controllers)) {
      take_lower(cores, lowest_quota(mount + "/cpu", group));
    }
  }
  return cores;
}

unsigned usable_cores() {
  static const std::optional<unsigned> quota = quota_cores(content_of("/proc/self/cgroup"), "/sys/fs/cgroup");
  return std::min(bound_cores(), quota.value_or(bound_cores()));
}

}  // namespace kuaixun
