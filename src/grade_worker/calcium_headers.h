#pragma once

// FLINT 3 holds Calcium too. Calcium's own headers are C in a few inline functions: CMakeLists.txt compiles the files
// that include this with -fpermissive.
#include <gmp.h>
#if __has_include(<flint/ca.h>)
#include <flint/ca.h>
#include <flint/fmpq.h>
#include <flint/fmpz_mpoly_q.h>
#else
#include <calcium/ca.h>
#include <calcium/fmpz_mpoly_q.h>
#include <flint/fmpq.h>
#endif
