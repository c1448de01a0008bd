#pragma once

#include <stdexcept>
#include <string>

namespace noregret {

// Exit codes of the program; a subclass of Error carries one, `main` returns it.
enum class ExitCode : int {
  kOk = 0,
  kUsage = 64,           // unknown verb or flag
  kData = 65,            // unreadable input, bad model, tokenizer, adapter or data
  kInternal = 70,        // bug, out of memory
  kIo = 74,              // disk error, locked run directory
  kInterrupted = 75,     // stopped by a signal, checkpoint written
  kDiverged = 76,        // too many non-finite updates in a row
  kRewardFailures = 77,  // too many failed rewards
  kConfig = 78,          // config file missing or any key in it
};

// Something that the user can mend. what() is one line: where, what, what was wanted, how to fix it.
// Only `main` catches it.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

// A verb or a flag that does not exist, or a flag's value out of range.
class UsageError : public Error {
 public:
  explicit UsageError(const std::string& message) : Error(ExitCode::kUsage, message) {}
};

// An input file is missing, damaged, or does not fit the model.
class DataError : public Error {
 public:
  explicit DataError(const std::string& message) : Error(ExitCode::kData, message) {}
};

// A model whose log-probs are NaN or infinite: its weights are damaged, or training drove them there.
class NonFiniteError : public DataError {
 public:
  explicit NonFiniteError(const std::string& message) : DataError(message) {}
};

// What the sampler reports is not what the learner computes: a stale adapter, or two forwards that differ.
class ExactnessError : public Error {
 public:
  explicit ExactnessError(const std::string& message) : Error(ExitCode::kInternal, message) {}
};

// A tensor has another shape or dtype than the contract of the function it was given to.
class ShapeError : public Error {
 public:
  explicit ShapeError(const std::string& message) : Error(ExitCode::kData, message) {}
};

// Writing failed: disk full, permission, a lock held by another process.
class IoError : public Error {
 public:
  explicit IoError(const std::string& message) : Error(ExitCode::kIo, message) {}
};

// The run directory is held by another process.
class LockedError : public Error {
 public:
  explicit LockedError(const std::string& message) : Error(ExitCode::kIo, message) {}
};

// A key, a value or a combination of values in a config.
class ConfigError : public Error {
 public:
  explicit ConfigError(const std::string& message) : Error(ExitCode::kConfig, message) {}
};

// A signal asked the run to stop; its checkpoint is written.
class InterruptedError : public Error {
 public:
  explicit InterruptedError(const std::string& message) : Error(ExitCode::kInterrupted, message) {}
};

// Several updates in a row were not finite.
class DivergedError : public Error {
 public:
  explicit DivergedError(const std::string& message) : Error(ExitCode::kDiverged, message) {}
};

// More rewards failed than the config allows.
class RewardFailureError : public Error {
 public:
  explicit RewardFailureError(const std::string& message) : Error(ExitCode::kRewardFailures, message) {}
};

}  // namespace noregret
