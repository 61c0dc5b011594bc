/* Many threads decide on one bundle, each with its own request and decision; ThreadSanitizer watches in its preset.
 * Every thread must find for each request what one thread alone found. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/runtime/assemble.h"

#define N_THREADS  8
#define N_REQUESTS 600

static struct loaded policy;
static uint32_t reference[N_REQUESTS];

/* The i-th request, decided: effect, rules and duties in one number. */
static uint32_t decide_one(struct pv_request *r, struct pv_decision *d, unsigned i)
{
    static const char *const users[] = {"alice", "bob", "root"};
    static const char *const packages[] = {"vlc", "nmap", "docker.io", "clang-14", "wireshark-qt"};
    static const char *const sources[] = {"internal", "vendor", "old"};
    struct pv_str groups[2] = {{i % 2 ? "netops" : "staff", i % 2 ? 6 : 5, 0}, {"developers", 10, 0}};
    const char *user = users[i % 3], *package = packages[i % 5], *source = sources[i / 5 % 3];
    pv_request_reset(r);
    pv_request_set_string(r, PV_A_USER_NAME, user, strlen(user));
    pv_request_set_strings(r, PV_A_USER_GROUPS, groups, 1 + i % 2);
    pv_request_set_command(r, i % 4 ? "install" : "upgrade", 7);
    pv_request_set_string(r, PV_A_PACKAGE_NAME, package, strlen(package));
    pv_request_set_string(r, PV_A_PACKAGE_VERSION, "1:2.0-1", 7);
    pv_request_set_source(r, source, strlen(source));
    pv_request_set_time(r, 1795251600 + (int64_t)i * 3600);
    pv_decide(r, i % 7 != 0, d);
    uint32_t sum = (uint32_t)d->effect * 1000003u + d->n_duties;
    if ((enum pv_effect)d->effect != pv_verdict(r, i % 7 != 0))
        sum = UINT32_MAX;
    for (uint32_t k = 0; k < d->n_rules; k++)
        sum = sum * 31 + d->rules[k];
    return sum;
}

static void *run(void *argument)
{
    unsigned shift = *(unsigned *)argument;
    struct pv_request *r = NULL;
    struct pv_decision *d = NULL;
    uintptr_t wrong = 0;
    if (pv_request_new(&r, policy.bundle) != 0 || pv_decision_new(&d, policy.bundle) != 0)
        wrong = 1;
    for (unsigned i = 0; !wrong && i < N_REQUESTS; i++) {
        unsigned which = (i + shift * 71) % N_REQUESTS;
        wrong = decide_one(r, d, which) != reference[which];
    }
    pv_decision_free(d);
    pv_request_free(r);
    return (void *)wrong;
}

static void test_threads(void **state)
{
    (void)state;
    char *text = read_text("tests/runtime/base.txt");
    policy = load_text(text);
    free(text);
    struct pv_request *r;
    struct pv_decision *d;
    assert_int_equal(pv_request_new(&r, policy.bundle), 0);
    assert_int_equal(pv_decision_new(&d, policy.bundle), 0);
    bool differ = false;
    for (unsigned i = 0; i < N_REQUESTS; i++) {
        reference[i] = decide_one(r, d, i);
        assert_int_not_equal(reference[i], UINT32_MAX);
        differ = differ || reference[i] != reference[0];
    }
    assert_true(differ);
    pv_decision_free(d);
    pv_request_free(r);

    pthread_t threads[N_THREADS];
    unsigned shifts[N_THREADS];
    for (unsigned i = 0; i < N_THREADS; i++) {
        shifts[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, run, &shifts[i]), 0);
    }
    for (unsigned i = 0; i < N_THREADS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    unload(&policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests_name("runtime/threads", tests, NULL, NULL);
}
