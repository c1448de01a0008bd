#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace noregret {

// Constraints of a field.
struct OneOf {
  std::vector<std::string> names;
  OneOf(std::initializer_list<std::string> list) : names(list) {}
};
struct Range {  // closed
  double low;
  double high;
};
struct AtLeast {
  double low;
};
struct GreaterThan {
  double low;
};

namespace internal {
template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <class T>
concept Struct = std::is_class_v<T> && requires {
  typename T::HasFieldsTag;
};
}  // namespace internal

}  // namespace noregret
