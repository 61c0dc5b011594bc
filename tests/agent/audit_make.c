/*
 * Makes a state directory as the agent leaves it, with a known ledger, for audit_test.sh:
 *   audit_make PROVISO-LEDGER STATE [kill]
 * The records: 1 start, 2 policy, 3 decision (alice, vlc, allowed), 4 outcome, 5 ownership, 6 decision (bob, nmap,
 * denied), 7 abuse with control characters, 8 decision (alice, git, allowed, without outcome). With `kill` the ledger
 * process ends by SIGKILL, so that the log that was not checkpointed stays.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/agent/ledger_harness.h"

int main(int argc, char **argv)
{
    static struct harness h = {.fd = -1};
    const uint64_t second = 1000000000, start = 1795255200 * second;
    if (argc < 3)
        return 2;
    harness_program = argv[1];
    char head_path[256], text[PV_HEAD_TEXT];
    if (snprintf(h.dir, sizeof h.dir, "%s/" PV_LEDGER_STATE_DIR, argv[2]) >= (int)sizeof h.dir)
        return 2;
    mkdir(argv[2], 0755);
    mkdir(h.dir, 0700);
    harness_start(&h, 0);
    harness_open(&h, "/");
    struct pv_record r = {.kind = PV_RECORD_START, .uid = PV_RECORD_NOBODY};
    r.start =
        (struct pv_record_start){pv_str_of("0.1"), 1, pv_str_of("/"), pv_str_of("b"), pv_str_of("m"), pv_str_of("")};
    harness_append(&h, start, &r);
    r = (struct pv_record){.kind = PV_RECORD_POLICY, .uid = PV_RECORD_NOBODY};
    r.policy = (struct pv_record_policy){.accepted = true,
                                         .path = pv_str_of("/etc/proviso/policy.bundle"),
                                         .name = pv_str_of("workstations"),
                                         .version = 7,
                                         .zone = pv_str_of("Europe/Paris"),
                                         .key_id = pv_str_of(""),
                                         .comment = pv_str_of(""),
                                         .sentence = pv_str_of("")};
    harness_append(&h, start + second, &r);
    r = sample_decision(1001, "alice", 0x11, "vlc", true);
    harness_append(&h, start + 2 * second, &r);
    r = sample_outcome(1001, 0x11, "done");
    harness_append(&h, start + 3 * second, &r);
    r = sample_own(true, "vlc", 1001, "alice");
    harness_append(&h, start + 4 * second, &r);
    r = sample_decision(1002, "bob", 0x12, "nmap", false);
    harness_append(&h, start + 5 * second, &r);
    r = sample_abuse(1002, "deb http://x.example ./\x1b[31m\nforged line");
    harness_append(&h, start + 6 * second, &r);
    r = sample_decision(1001, "alice", 0x13, "git", true);
    harness_append(&h, start + 7 * second, &r);
    if (argc > 3 && strcmp(argv[3], "kill") == 0)
        harness_kill(&h);
    else if (harness_stop(&h) != 0)
        return 1;
    snprintf(head_path, sizeof head_path, "%s/" PV_LEDGER_HEAD_FILE, argv[2]);
    pv_head_format(&h.head, text);
    FILE *f = fopen(head_path, "wb");
    if (!f || fwrite(text, 1, sizeof text, f) != sizeof text || fclose(f) != 0)
        return 1;
    return 0;
}
