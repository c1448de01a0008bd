#include "text/vocabulary.h"

#include "noregret/base/error.h"
#include "noregret/base/text.h"

namespace noregret::text {

void Vocabulary::add(const std::string& token, int64_t id, const std::string& where) {
  if (id < 0 || id >= kMaxIds) {
    throw DataError(cat(where, ": token ", noregret::quoted(token), " has the id ", id, ", want 0 to ", kMaxIds - 1));
  }
  const std::string* present = this->token(id);
  if (present != nullptr && *present != token) {
    throw DataError(cat(where, ": tokens ", noregret::quoted(*present), " and ", noregret::quoted(token),
                        " both have the id ", id));
  }
  const auto [entry, is_new] = ids_.try_emplace(token, id);
  if (entry->second != id) {
    throw DataError(cat(where, ": token ", noregret::quoted(token), " has the ids ", entry->second, " and ", id));
  }
  if (id >= size()) tokens_.resize(static_cast<size_t>(id) + 1);
  tokens_[static_cast<size_t>(id)] = &entry->first;
}

std::optional<int64_t> Vocabulary::find(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const std::string* Vocabulary::token(int64_t id) const {
  return id >= 0 && id < size() ? tokens_[static_cast<size_t>(id)] : nullptr;
}

Vocabulary read_vocabulary(const Json& object, const std::string& where) {
  if (!object.is_object()) throw DataError(where + ": 'vocab' is no object of tokens and ids");
  Vocabulary vocabulary;
  for (const auto& [token, id] : object.items()) vocabulary.add(token, read_id(id, token, where), where);
  return vocabulary;
}

int64_t read_id(const Json& value, std::string_view token, const std::string& where) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() >= static_cast<uint64_t>(kMaxIds)) {
    throw DataError(cat(where, ": token ", noregret::quoted(token), " has the id ",
                        noregret::quoted(value.is_number() ? value.dump() : value.type_name()),
                        ", want an integer from 0 to ", kMaxIds - 1));
  }
  return value.get<int64_t>();
}

}  // namespace noregret::text
