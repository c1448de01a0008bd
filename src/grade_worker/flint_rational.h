#pragma once

#include <gmpxx.h>

#include "grade_worker/flint_headers.h"

namespace noregret::math {

// A rational number as FLINT takes it.
class FlintRational {
 public:
  explicit FlintRational(const mpq_class& value) {  // in lowest terms
    fmpq_init(value_);
    fmpq_set_mpq(value_, value.get_mpq_t());
  }
  ~FlintRational() { fmpq_clear(value_); }
  FlintRational(const FlintRational&) = delete;
  FlintRational& operator=(const FlintRational&) = delete;
  const fmpq* get() const { return value_; }

 private:
  fmpq_t value_;
};

}  // namespace noregret::math
