// What can be wrong with a bundle or an engine; the codes are those of export/errors.py.
#pragma once

#include <stdexcept>
#include <string>

namespace kuaixun {

enum class ErrorCode : int { usage = 2, bundle = 3, bundle_version = 4, engine = 10 };

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

// A file is missing, cut short or altered: BundleTamperedError of export/errors.py.
class TamperedError : public Error {
 public:
  explicit TamperedError(const std::string& message) : Error(ErrorCode::bundle, message) {}
};

// The student gives other answers than when the bundle was made: GoldenCaseError of export/errors.py.
class GoldenError : public Error {
 public:
  explicit GoldenError(const std::string& message) : Error(ErrorCode::bundle, message) {}
};

// A file's content does not parse or fit. Whoever knows the file's name turns it into an Error.
class FormatError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace kuaixun
