# The monitor, through the whole agent with real people. Included by CMakeLists.txt.
foreach(name monitor_run monitor_apt)
  pv_shell_test(agent/${name} ${name}_test.sh)
  set_tests_properties(agent/${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300 RESOURCE_LOCK agent)
endforeach()

pv_cmocka_test(monitor_test SOURCES monitor_test.c LIBS pv_monitor)
set_tests_properties(monitor_test PROPERTIES SKIP_RETURN_CODE 77)
