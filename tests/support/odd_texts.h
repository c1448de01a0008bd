#pragma once

#include <string>
#include <vector>

namespace noregret {

// Texts that a model, or a broken data set, may come up with.
inline std::vector<std::string> odd_texts() {
  std::vector<std::string> texts = {std::string(3, '\0')};
  for (const char* text :
       {"", "\n\n", "####", "#### -", "{}", "nan", "1e999", "%s%n", "\xFF\xFE", "#### \xC3", "$(ls)"}) {
    texts.emplace_back(text);
  }
  for (const char* piece : {"#", "#### 1\n", "9", "1,", ".", " ", "\n", "a", "-", "\\boxed{", "\xC3\xA9", "\xF0"}) {
    std::string& text = texts.emplace_back();
    while (text.size() < (1u << 18)) text += piece;
  }
  return texts;
}

}  // namespace noregret
