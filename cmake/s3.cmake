# Tests against a real S3 server. They share the one that the fixture "s3" starts (tests/s3).

set(hif_with_s3 ${CMAKE_SOURCE_DIR}/integration/s3/with_s3.sh ${CMAKE_BINARY_DIR}/s3)

# hif_s3_test(NAME COMMAND command... [ENVIRONMENT name=value...]): runs with the server's address
# and credentials, and HIF_TEST_S3, a place of its own there.
function(hif_s3_test name)
  cmake_parse_arguments(ARG "" "" "COMMAND;ENVIRONMENT" ${ARGN})
  add_test(NAME ${name} COMMAND ${hif_with_s3} ${ARG_COMMAND})
  set_tests_properties(${name} PROPERTIES FIXTURES_REQUIRED s3 LABELS s3 TIMEOUT 300)
  if(ARG_ENVIRONMENT)
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "${ARG_ENVIRONMENT}")
  endif()
endfunction()

# hif_on_s3(TEST [KIND...]): a suite that takes its store from HIF_TEST_STORE (tests/s3/place.h),
# on S3 and on other KINDs of it.
function(hif_on_s3 test)
  foreach(kind s3 ${ARGN})
    string(REPLACE "-" "_" suffix ${kind})
    hif_s3_test(${test}_${suffix} COMMAND $<TARGET_FILE:${test}> ENVIRONMENT HIF_TEST_STORE=${kind})
  endforeach()
endfunction()
