# provisod: the root process. It links the runtime, libsodium and the agent's libc-only libraries: no database, no JSON,
# no lexer, no parser; a test holds that.
add_library(pv_record_write STATIC record.c)
target_link_libraries(pv_record_write PRIVATE pv_flags PUBLIC pv_wire)

add_library(pv_monitor STATIC monitor_answer.c monitor_apply.c monitor_client.c monitor_decide.c monitor_files.c monitor_ledger.c
            monitor_loop.c monitor_owner.c monitor_policy.c monitor_process.c monitor_request.c monitor_run.c monitor_transaction.c)
target_link_libraries(pv_monitor PRIVATE pv_flags PUBLIC pv_runtime pv_record_write pv_chain pv_minisign_verify
                      pv_passcode pv_request_wire pv_runner_job pv_apt pv_wire)

add_executable(provisod monitor.c)
target_link_libraries(provisod PRIVATE pv_flags pv_monitor)
target_compile_definitions(provisod PRIVATE PV_LIBEXEC="${CMAKE_INSTALL_FULL_LIBEXECDIR}/proviso")
