# The monitor, through the whole agent with real people. Included by CMakeLists.txt.
add_executable(hostile_front hostile_front.c)
target_link_libraries(hostile_front PRIVATE pv_flags pv_request_wire pv_passcode)
set_target_properties(hostile_front PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
# A sanitizer's runtime wants to be the first library that is loaded.
if(NOT PV_SANITIZE)
  add_library(fake_clock SHARED fake_clock.c)
  target_link_libraries(fake_clock PRIVATE pv_flags)
  set(fake_clock $<TARGET_FILE:fake_clock>)
endif()
foreach(name monitor_start monitor_limits monitor_plan monitor_run monitor_apt monitor_owner monitor_crash monitor_hostile)
  pv_shell_test(agent/${name} ${name}_test.sh $<TARGET_FILE:hostile_front> ${fake_clock})
  set_tests_properties(agent/${name} PROPERTIES TIMEOUT 300 RESOURCE_LOCK agent)
endforeach()

pv_cmocka_test(monitor_test SOURCES monitor_test.c LIBS pv_monitor)
