#pragma once

#include <array>
#include <string_view>

namespace noregret::text {

// A turn of a conversation reads
//
//   <turn_begin>role<role_end>after_role content <turn_end>after_turn
//
// where the names in angle brackets are control tokens, the others text; an empty one is left out.
struct ChatFamily {
  std::string_view name;
  std::string_view bos = {};  // control token before the first turn
  std::string_view turn_begin = {};
  std::string_view role_end = {};
  std::string_view after_role = {};
  std::string_view turn_end = {};
  std::string_view after_turn = {};
  std::string_view default_system =
      {};                        // content of a system turn that comes first when the messages begin without one
  bool strips_contents = false;  // white space at both ends of a content is left out
};

inline constexpr std::string_view kNoFamily = "none";

inline constexpr std::array<ChatFamily, 4> kChatFamilies = {{
    {.name = "chatml", .turn_begin = "<|im_start|>", .after_role = "\n", .turn_end = "<|im_end|>", .after_turn = "\n"},
    {.name = "smollm2",
     .turn_begin = "<|im_start|>",
     .after_role = "\n",
     .turn_end = "<|im_end|>",
     .after_turn = "\n",
     .default_system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"},
    {.name = "llama3",
     .bos = "<|begin_of_text|>",
     .turn_begin = "<|start_header_id|>",
     .role_end = "<|end_header_id|>",
     .after_role = "\n\n",
     .turn_end = "<|eot_id|>",
     .strips_contents = true},
    {.name = kNoFamily},
}};

// Which published templates are which family, by template_fingerprint().
struct KnownTemplate {
  std::string_view fingerprint;
  std::string_view family;
};

inline constexpr std::array<KnownTemplate, 4> kKnownTemplates = {{
    {"b19bd9670bb9a857", "chatml"},   // the plain loop over messages
    {"c03d303efa4b8f0c", "chatml"},   // the same behind a default for add_generation_prompt
    {"07c993b21ad7da32", "smollm2"},  // SmolLM2-135M-Instruct and its larger siblings
    {"23e327d0e980197b", "llama3"},   // Meta-Llama-3-8B-Instruct and -70B-Instruct
}};

}  // namespace noregret::text
