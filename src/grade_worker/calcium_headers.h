#pragma once

// FLINT 3 holds Calcium too. The inline functions of Calcium's own headers are C: they take FLINT's memory without a
// cast.
#include <flint/flint.h>
#include <gmp.h>

namespace noregret::math {

struct AnyPointer {
  void* pointer;
  template <class T>
  operator T*() const {
    return static_cast<T*>(pointer);
  }
};

}  // namespace noregret::math

#define flint_malloc(size) \
  noregret::math::AnyPointer { flint_malloc(size) }
#define flint_realloc(pointer, size) \
  noregret::math::AnyPointer { flint_realloc(pointer, size) }
#if __has_include(<flint/ca.h>)
#include <flint/ca.h>
#include <flint/fmpq.h>
#include <flint/fmpz_mpoly_q.h>
#else
#include <calcium/ca.h>
#include <calcium/fmpz_mpoly_q.h>
#include <flint/fmpq.h>
#endif
#undef flint_malloc
#undef flint_realloc
