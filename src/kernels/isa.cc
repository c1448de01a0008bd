#include "noregret/kernels/isa.h"

#include <algorithm>
#include <atomic>

#include "kernels/inner.h"
#include "noregret/base/check.h"

namespace noregret::kernels {
namespace {

struct Forced {
  std::atomic<const Inner*> inner;
  std::atomic<Isa> isa;
};

const Inner& inner_of(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return kAvx512Inner;
    case Isa::kAvx2:
      return kAvx2Inner;
    case Isa::kPortable:
      break;
  }
  return kPortableInner;
}

Forced& current() {
  static Forced forced{&inner_of(supported_isas().back()), supported_isas().back()};
  return forced;
}

}  // namespace

std::string_view isa_name(Isa isa) {
  constexpr std::string_view kNames[] = {"portable", "AVX2", "AVX-512"};
  return kNames[static_cast<int>(isa)];
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas = {Isa::kPortable};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) isas.push_back(Isa::kAvx2);
  if (isas.size() == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
    isas.push_back(Isa::kAvx512);
  return isas;
}

Isa current_isa() { return current().isa; }

void force_isa(Isa isa) {
  const std::vector<Isa> isas = supported_isas();
  NOREGRET_CHECK(std::find(isas.begin(), isas.end(), isa) != isas.end(), isa_name(isa), " is not supported");
  current().isa = isa;
  current().inner = &inner_of(isa);
}

const Inner& inner() { return *current().inner; }

}  // namespace noregret::kernels
