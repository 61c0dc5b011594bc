/*
 * A proviso-ledger in a temporary directory with the test in the monitor's place: starts it, keeps the chain, sends
 * records and reads answers. For ledger_*_test.c.
 */
#ifndef PV_TESTS_LEDGER_HARNESS_H
#define PV_TESTS_LEDGER_HARNESS_H

#include "agentd/chain.h"
#include "agentd/ledger.h"
#include "agentd/record.h"
#include "agentd/wire.h"

#include <sys/types.h>

struct harness {
    char dir[64];        /* removed by harness_free() */
    char path[96];       /* of the database */
    pid_t pid;           /* 0: not running */
    int fd;              /* -1: closed */
    struct pv_head head; /* of what was sent */
};

struct opened {
    struct pv_head head;
    uint64_t max_time, max_request;
    uint32_t n_unfinished;
};

struct failure {
    uint32_t code;
    uint64_t tag, seq;
    char sentence[512];
};

extern const char *harness_program; /* path of proviso-ledger */

void harness_init(struct harness *h);
void harness_free(struct harness *h);
/* Starts the process; fsize_limit is its RLIMIT_FSIZE, 0 for none. */
void harness_start(struct harness *h, size_t fsize_limit);
/* Closes the socket and waits; returns the exit status. */
int harness_stop(struct harness *h);
/* kill -9, and waits. */
void harness_kill(struct harness *h);

void harness_send_open(struct harness *h, const char *root);
/* Opens and expects that it works; the chain goes on from what it says. */
struct opened harness_open(struct harness *h, const char *root);
/* Sends one record at time_ns after the head, which it moves; no answer is awaited. */
void harness_send(struct harness *h, uint64_t time_ns, const struct pv_record *record);
/* The same with a body as given. */
void harness_send_body(struct harness *h, uint64_t time_ns, uint32_t kind, const void *body, size_t len);
/* Waits until head is acknowledged; returns how many ACK frames came. Any other answer fails the test. */
unsigned harness_await(struct harness *h);
void harness_append(struct harness *h, uint64_t time_ns, const struct pv_record *record);

/* Receives the next frame; its payload is in *r until the next call. Returns its type, 0 at the end of the file. */
uint32_t harness_recv(struct harness *h, struct pv_rbuf *r);
/* The next frame is an error. */
struct failure harness_failure(struct harness *h);

/* Sample records. */
struct pv_record sample_event(const char *word, const char *text);
struct pv_record sample_own(bool granted, const char *package, uint32_t uid, const char *user);
struct pv_record sample_outcome(uint32_t uid, uint64_t request, const char *word);
/* An allowed or denied decision on one operation, with every type of attribute; storage is static and shared. */
struct pv_record sample_decision(uint32_t uid, const char *user, uint64_t request, const char *package, bool allowed);
struct pv_record sample_abuse(uint32_t uid, const char *detail);

#endif
