#pragma once

#define NOREGRET_INLINE inline __attribute__((always_inline))
