/* Text that the agent's apt side reads: indexes, dpkg's status file, apt's simulation, apt's list for the hook, source
 * locations. The first character chooses the reader: `p` Packages, `s` status, `i` simulation, `h` hook list, `r`
 * relation, `l` location. */
#include "tests/fuzz/fuzz.h"

#include "agentd/apt/catalog.h"
#include "agentd/apt/config.h"
#include "agentd/apt/deb822.h"
#include "agentd/apt/hooklist.h"
#include "agentd/apt/name.h"
#include "agentd/apt/simulate.h"
#include "agentd/apt/text.h"

static bool inside(struct pv_slice s, const char *text, size_t len)
{
    return s.len == 0 || (s.at >= text && s.at + s.len <= text + len);
}

static void try_relation(const char *text, size_t len)
{
    struct pv_slice value = {text, len};
    struct pv_relation relation;
    size_t at = 0;
    while (pv_relation_next(value, &at, &relation) == 1) {
        FUZZ_CHECK(inside(relation.name, text, len) && inside(relation.arch, text, len) &&
                       inside(relation.version, text, len),
                   "a relation outside its text");
        FUZZ_CHECK(at <= len, "a relation past its text");
        (void)pv_relation_holds(&relation, (struct pv_slice){"1:2.0~rc1-1", 11});
        (void)pv_relation_holds(&relation, relation.version);
    }
}

static void try_catalog(const char *text, size_t len, int source)
{
    struct pv_catalog *catalog = calloc(1, sizeof *catalog);
    FUZZ_CHECK(catalog, "out of memory");
    if (pv_catalog_add_bytes(catalog, text, len, source) == 0 && catalog->n_entries) {
        struct pv_slice first = catalog->entries[0].name;
        size_t n;
        const struct pv_entry *found = pv_catalog_find(catalog, first, &n);
        FUZZ_CHECK(found && n && pv_slice_same(found->name, first), "an entry that is not found by its name");
        for (size_t i = 0; i < catalog->n_entries; i++) {
            struct pv_facts facts;
            if (i && catalog->entries[i - 1].name.len && catalog->entries[i].name.len) {
                size_t least = catalog->entries[i - 1].name.len < catalog->entries[i].name.len
                                   ? catalog->entries[i - 1].name.len
                                   : catalog->entries[i].name.len;
                FUZZ_CHECK(memcmp(catalog->entries[i - 1].name.at, catalog->entries[i].name.at, least) <= 0,
                           "not sorted");
            }
            if (!pv_facts_read(&catalog->entries[i], &facts))
                continue;
            FUZZ_CHECK(pv_apt_name_valid(facts.name.at, facts.name.len), "facts of something without a name");
            try_relation(facts.depends.at ? facts.depends.at : "", facts.depends.len);
            try_relation(facts.provides.at ? facts.provides.at : "", facts.provides.len);
        }
    }
    pv_catalog_clear(catalog);
    free(catalog);
}

static void try_simulation(const char *text, size_t len)
{
    size_t at = 0;
    struct pv_sim_line line;
    struct pv_slice raw;
    int rc;
    while ((rc = pv_sim_next(text, len, &at, &line, &raw)) == 1)
        FUZZ_CHECK(pv_apt_name_valid(line.name.at, line.name.len) && inside(line.name, text, len) &&
                       inside(line.old, text, len) && inside(line.new, text, len) && inside(line.arch, text, len),
                   "a line of something without a name");
    if (rc < 0) {
        struct pv_text escaped = {0};
        pv_text_escaped(&escaped, raw.at, raw.len, 200);
        for (size_t i = 0; i < escaped.len; i++)
            FUZZ_CHECK((unsigned char)escaped.data[i] >= ' ' && escaped.data[i] != 0x7f,
                       "a control character is shown");
        free(escaped.data);
    }
}

static int no_hash(void *context, const char *path, uint8_t hash[32])
{
    (void)context;
    memset(hash, 0x11, 32);
    return strstr(path, "lost") ? -1 : 0;
}

static void try_hook(const char *text, size_t len)
{
    struct pv_plan plan = {0};
    struct pv_hook_verdict verdict;
    struct pv_plan_op install = {.name = "hello",
                                 .arch = "amd64",
                                 .old_version = "",
                                 .new_version = "2.10-3",
                                 .source = "internal",
                                 .section = "devel",
                                 .filename = "pool/hello_2.10-3_amd64.deb",
                                 .download_size = 1};
    struct pv_plan_op removal = {.action = PV_PLAN_REMOVE,
                                 .name = "nano",
                                 .arch = "amd64",
                                 .old_version = "7.2-1",
                                 .new_version = "",
                                 .source = "",
                                 .section = "",
                                 .filename = ""};
    memset(install.sha256, 0x11, sizeof install.sha256);
    FUZZ_CHECK(pv_plan_add(&plan, &install) == 0 && pv_plan_add(&plan, &removal) == 0 && pv_plan_sort(&plan) == 0,
               "the plan is not one");
    int rc = pv_hook_check(&plan, text, len, no_hash, NULL, &verdict);
    FUZZ_CHECK((rc == 0) == (verdict.sentence[0] == 0), "a verdict without a sentence, or with one too many");
    pv_plan_clear(&plan);
}

static void try_location(const char *text, size_t len)
{
    char *location = malloc(len + 1), *line = NULL;
    struct pv_apt_error error = {{0}};
    FUZZ_CHECK(location, "out of memory");
    memcpy(location, text, len);
    location[len] = 0;
    struct pv_apt_source source = {.name = "fuzz", .location = location, .key = "/etc/keys/k.gpg"};
    for (int alternate = 0; alternate < 2; alternate++) {
        if (pv_apt_source_line(&source, alternate, &line, &error) == 0) {
            for (const char *p = line; *p; p++)
                FUZZ_CHECK((unsigned char)*p >= ' ', "a second line in a sources list");
            FUZZ_CHECK(!strstr(line, "trusted"), "a source that trusts itself");
            free(line);
        } else {
            FUZZ_CHECK(error.text[0], "refused without a sentence");
        }
    }
    free(location);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 1 << 20)
        return 0;
    char *text = fuzz_exact(data + 1, size - 1);
    switch (data[0]) {
    case 'p': try_catalog(text, size - 1, 0); break;
    case 's': try_catalog(text, size - 1, PV_CATALOG_STATUS); break;
    case 'i': try_simulation(text, size - 1); break;
    case 'h': try_hook(text, size - 1); break;
    case 'r': try_relation(text, size - 1); break;
    case 'l': try_location(text, size - 1); break;
    default: break;
    }
    free(text);
    return 0;
}
