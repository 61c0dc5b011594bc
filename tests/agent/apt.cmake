# apt, NSS and what reads their text. Included by CMakeLists.txt.
add_executable(apt_tool apt_tool.c)
target_link_libraries(apt_tool PRIVATE pv_flags pv_apt pv_plan)
set_target_properties(apt_tool PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)

add_executable(apt_parse_test apt_parse_test.c)
target_link_libraries(apt_parse_test PRIVATE pv_flags pv_apt_reader pv_apt_hook PkgConfig::CMOCKA)
set_target_properties(apt_parse_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME agent/apt_parse COMMAND apt_parse_test)

add_executable(dpkg_log_test dpkg_log_test.c)
target_link_libraries(dpkg_log_test PRIVATE pv_flags pv_apt_reader PkgConfig::CMOCKA)
set_target_properties(dpkg_log_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
add_test(NAME agent/dpkg_log COMMAND dpkg_log_test)

# Real apt over real repositories in an alternate root; they need root and share nothing with other tests.
foreach(name apt_planner apt_hook apt_config resolver)
  pv_shell_test(agent/${name} ${name}_test.sh)
  set_tests_properties(agent/${name} PROPERTIES TIMEOUT 300)
endforeach()
set_tests_properties(agent/resolver PROPERTIES RESOURCE_LOCK agent)
