#pragma once

// FLINT 3 holds what Debian 12 has as FLINT 2.9 and Arb. GMP comes first: only then FLINT declares its conversions.
#include <gmp.h>
#if __has_include(<flint/acb.h>)
#include <flint/acb.h>
#include <flint/arb.h>
#include <flint/fmpq.h>
#else
#include <acb.h>
#include <arb.h>
#include <flint/fmpq.h>
#endif
