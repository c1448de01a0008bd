#include <algorithm>
#include <array>

#include "grade/lexer.h"

namespace noregret::math {
namespace {

constexpr auto kFunctions = std::to_array<std::string_view>({
    "abs",    "arccos",  "arccosh", "arccot", "arccsc", "arcosh", "arcsec", "arcsin", "arcsinh",
    "arctan", "arctanh", "arsinh",  "artanh", "ceil",   "cos",    "cosh",   "cot",    "coth",
    "csc",    "exp",     "floor",   "gcd",    "lcm",    "lg",     "ln",     "log",    "max",
    "min",    "sec",     "sin",     "sinh",   "sqrt",   "tan",    "tanh",
});

constexpr auto kUnits = std::to_array<std::string_view>({
    "acres",       "apples",      "bits",        "boxes",       "boys",    "bytes",      "cent",      "centimeter",
    "centimeters", "centimetres", "cents",       "cm",          "cubic",   "cups",       "day",       "days",
    "deg",         "degree",      "degrees",     "dollar",      "dollars", "edges",      "euro",      "euros",
    "faces",       "feet",        "foot",        "ft",          "gallon",  "gallons",    "games",     "girls",
    "gm",          "gram",        "grams",       "hour",        "hours",   "hr",         "hrs",       "in",
    "inch",        "inches",      "integers",    "items",       "kg",      "kilogram",   "kilograms", "kilometer",
    "kilometers",  "km",          "kmh",         "kph",         "lb",      "lbs",        "liter",     "liters",
    "litres",      "marbles",     "meals",       "meter",       "meters",  "metre",      "metres",    "mi",
    "mile",        "miles",       "millimeters", "min",         "mins",    "minute",     "minutes",   "ml",
    "mm",          "month",       "months",      "mph",         "numbers", "ounces",     "oz",        "pages",
    "pct",         "pence",       "people",      "per",         "percent", "percentage", "persons",   "pieces",
    "points",      "pounds",      "radians",     "revolutions", "rpm",     "sec",        "second",    "seconds",
    "secs",        "solutions",   "sq",          "square",      "squares", "steps",      "students",  "times",
    "tons",        "triangles",   "unit",        "units",       "values",  "vertices",   "ways",      "week",
    "weeks",       "yard",        "yards",       "yd",          "year",    "years",      "yuan",
});

}  // namespace

bool is_function_name(std::string_view word) { return std::binary_search(kFunctions.begin(), kFunctions.end(), word); }

bool is_unit_word(std::string_view word) {
  if (word == "mL") return true;
  return std::find(kUnits.begin(), kUnits.end(), word) != kUnits.end();
}

}  // namespace noregret::math
