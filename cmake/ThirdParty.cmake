# Each library is seen by one module only; a test checks that.
find_package(nlohmann_json 3.11 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(Threads REQUIRED)
add_library(nr::json ALIAS nlohmann_json::nlohmann_json)
add_library(nr::zlib ALIAS ZLIB::ZLIB)
add_library(nr::crypto ALIAS OpenSSL::Crypto)
add_library(nr::yaml ALIAS yaml-cpp)
add_library(nr::cli11 ALIAS CLI11::CLI11)
add_library(nr::eigen ALIAS Eigen3::Eigen)

function(noregret_plain_library name header)   # for libraries without a CMake package
  find_path(NOREGRET_${name}_INCLUDE ${header} REQUIRED)
  find_library(NOREGRET_${name}_LIBRARY ${name} REQUIRED)
  add_library(nr::${name} UNKNOWN IMPORTED)
  set_target_properties(nr::${name} PROPERTIES
    IMPORTED_LOCATION ${NOREGRET_${name}_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${NOREGRET_${name}_INCLUDE})
endfunction()
noregret_plain_library(onig oniguruma.h)
noregret_plain_library(utf8proc utf8proc.h)
noregret_plain_library(re2 re2/re2.h)
noregret_plain_library(gmp gmp.h)
noregret_plain_library(gmpxx gmpxx.h)

# nr::flint: FLINT 3, or FLINT 2.9 with Arb and Calcium, which became parts of it.
noregret_plain_library(flint flint/flint.h)
if(NOT EXISTS ${NOREGRET_flint_INCLUDE}/flint/ca.h)
  find_library(NOREGRET_arb_LIBRARY NAMES flint-arb arb REQUIRED)
  find_library(NOREGRET_calcium_LIBRARY calcium REQUIRED)
  find_library(NOREGRET_antic_LIBRARY antic REQUIRED)
  set_target_properties(nr::flint PROPERTIES INTERFACE_LINK_LIBRARIES
    "${NOREGRET_calcium_LIBRARY};${NOREGRET_arb_LIBRARY};${NOREGRET_antic_LIBRARY}")
endif()

find_path(NOREGRET_beast_INCLUDE boost/beast.hpp REQUIRED)   # headers alone
add_library(nr::beast INTERFACE IMPORTED)
set_target_properties(nr::beast PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${NOREGRET_beast_INCLUDE})
