#pragma once

namespace noregret {

// Compiled by scripts/sanitize.sh, with shadow memory beside each byte.
#ifdef NOREGRET_SANITIZED
inline constexpr bool kIsSanitized = true;
#else
inline constexpr bool kIsSanitized = false;
#endif

}  // namespace noregret
