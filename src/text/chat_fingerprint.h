#pragma once

#include <string>
#include <string_view>

namespace noregret::text {

// What a Jinja template does, in one spelling: templates that differ only in blanks inside tags, quotes, `a.b` for
// `a['b']`, or the cutting of literals have one canonical form. White space that the template prints counts, after
// trim_blocks, lstrip_blocks and "-" have taken theirs.
std::string canonical_template(std::string_view source);

// The first 16 hex digits of the SHA-256 of the canonical form.
std::string template_fingerprint(std::string_view source);

}  // namespace noregret::text
