/* Compares `proviso eval` with the reference evaluator: differential PROVISO LIBRARY SEED POLICIES REQUESTS [MAX_RULES]
 *
 * Random policies, random requests aimed at them; the whole decision must be equal, byte for byte of its canonical
 * JSON. The first difference is printed with its policy, request and both decisions, and ends the run with 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/reference/evaluate.h"
#include "tests/reference/generate.h"

static int compare_policy(const char *proviso, const char *library, uint64_t seed, unsigned n_requests,
                          unsigned max_rules, const char *dir, unsigned long *decided, unsigned long tally[3])
{
    char policy[4200], requests[4200], command[13000];
    snprintf(policy, sizeof policy, "%s/random.policy", dir);
    snprintf(requests, sizeof requests, "%s/requests.jsonl", dir);
    FILE *f = fopen(policy, "w");
    FILE *r = fopen(requests, "w");
    if (!f || !r)
        return 2;
    generate_policy(f, seed, max_rules);
    generate_requests(r, seed, n_requests);
    fclose(f);
    fclose(r);

    int status = 2;
    struct pv_arena *arena = pv_arena_new(0);
    struct pv_program *program = NULL;
    struct pv_load_options options = {.library = &library, .n_library = 1};
    FILE *decisions = NULL;
    char *line = NULL, *answer = NULL;
    size_t line_size = 0, answer_size = 0;
    r = NULL;
    if (!arena || pv_load_program(arena, policy, &options, &program) != 0)
        goto out;
    snprintf(command, sizeof command, "'%s' eval '%s' --library '%s' --requests '%s' 2>'%s/errors'", proviso, policy,
             library, requests, dir);
    decisions = popen(command, "r");
    r = fopen(requests, "r");
    if (!decisions || !r)
        goto out;
    for (unsigned i = 0; i < n_requests; i++) {
        if (getline(&line, &line_size, r) < 0)
            goto out;
        if (getline(&answer, &answer_size, decisions) < 0) {
            fprintf(stderr, "seed %llu: no answer to request %u; is the policy refused? proviso check %s\n",
                    (unsigned long long)seed, i, policy);
            goto out;
        }
        json_t *request = json_loads(line, 0, NULL), *got = json_loads(answer, 0, NULL);
        json_object_del(got, "schema");
        json_t *want = reference_decide(program, request);
        if (!want || !json_equal(want, got)) {
            char *w = want ? json_dumps(want, JSON_INDENT(1)) : NULL, *h = got ? json_dumps(got, JSON_INDENT(1)) : NULL;
            fprintf(stderr, "seed %llu, request %u differs\nrequest: %s\nreference: %s\nproviso: %s\npolicy: %s\n",
                    (unsigned long long)seed, i, line, w ? w : "(none)", h ? h : answer, policy);
            free(w);
            free(h);
            status = 1;
        } else {
            const char *word = json_string_value(json_object_get(want, "decision"));
            tally[word[0] == 'a' ? 0 : word[1] == 'e' ? 1 : 2]++;
            ++*decided;
            status = 0;
        }
        json_decref(request);
        json_decref(got);
        json_decref(want);
        if (status == 1)
            goto out;
    }
out:
    if (decisions)
        pclose(decisions);
    if (r)
        fclose(r);
    free(line);
    free(answer);
    pv_arena_free(arena);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: differential PROVISO LIBRARY SEED POLICIES REQUESTS [MAX_RULES]\n");
        return 2;
    }
    char dir[] = "/tmp/differential-XXXXXX";
    if (!mkdtemp(dir))
        return 2;
    uint64_t seed = strtoull(argv[3], NULL, 10);
    unsigned policies = (unsigned)strtoul(argv[4], NULL, 10), requests = (unsigned)strtoul(argv[5], NULL, 10);
    unsigned max_rules = argc > 6 ? (unsigned)strtoul(argv[6], NULL, 10) : 24;
    unsigned long decided = 0, tally[3] = {0};
    int status = 0;
    for (unsigned i = 0; i < policies && status == 0; i++)
        status = compare_policy(argv[1], argv[2], seed + i, requests, max_rules, dir, &decided, tally);
    printf("%lu decisions compared: %lu allow, %lu deny, %lu direct\n", decided, tally[0], tally[1], tally[2]);
    /* A generator that only ever meets one answer compares nothing. */
    if (status == 0 && (tally[0] * 20 < decided || tally[1] * 20 < decided || tally[2] == 0)) {
        fprintf(stderr, "the requests do not reach the rules: the mix is too one-sided\n");
        status = 2;
    }
    if (status == 0) {
        char command[4200];
        snprintf(command, sizeof command, "rm -rf '%s'", dir);
        if (system(command) != 0)
            status = 2;
    }
    return status;
}
