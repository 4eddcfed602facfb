# hif_fuzz(NAME SOURCES file... DEPENDS room... CORPUS directory [RUNS n]): a fuzz target.
#
# As a rule it is a test that runs its corpus and about n (20,000) seeded mutations of it
# (fuzz_main.c). With
# HIF_LIBFUZZER, and clang, libFuzzer drives it instead, to be run by hand:
#   cmake -B build-fuzz -DCMAKE_C_COMPILER=clang -DHIF_LIBFUZZER=ON \
#         -DHIF_SANITIZE=address,undefined,fuzzer-no-link
include_guard()
option(HIF_LIBFUZZER "Link fuzz targets with libFuzzer" OFF)

function(hif_fuzz name)
  cmake_parse_arguments(ARG "" "CORPUS;RUNS" "SOURCES;DEPENDS" ${ARGN})
  if(NOT ARG_RUNS)
    set(ARG_RUNS 20000)
  endif()
  if(HIF_LIBFUZZER)
    hif_program(${name} SOURCES ${ARG_SOURCES} DEPENDS ${ARG_DEPENDS})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    add_test(NAME ${name} COMMAND ${name} -runs=20000 -seed=1 ${ARG_CORPUS})
  else()
    hif_program(${name} SOURCES ${ARG_SOURCES} ${CMAKE_SOURCE_DIR}/tests/fuzz_main.c
                DEPENDS ${ARG_DEPENDS})
    add_test(NAME ${name} COMMAND ${name} -t ${ARG_RUNS} ${ARG_CORPUS})
  endif()
endfunction()
