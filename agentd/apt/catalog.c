/* Indexes and dpkg's status file as one sorted list of entries; see catalog.h. */
#include "agentd/apt/catalog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agentd/apt/name.h"

static bool add_entry(struct pv_catalog *c, struct pv_slice stanza, struct pv_slice name, int source)
{
    if (c->n_entries == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 1024;
        if (cap > PV_CATALOG_ENTRIES_MAX)
            return false;
        struct pv_entry *grown = realloc(c->entries, cap * sizeof *grown);
        if (!grown)
            return false;
        c->entries = grown;
        c->cap = cap;
    }
    c->entries[c->n_entries++] = (struct pv_entry){stanza, name, source};
    c->sorted = false;
    return true;
}

/* Package is the first field in practice; elsewhere it is searched for. */
static bool stanza_name(struct pv_slice stanza, struct pv_slice *name)
{
    static const char field[] = "Package:";
    size_t n = sizeof field - 1;
    if (stanza.len > n && strncasecmp(stanza.at, field, n) == 0) {
        const char *end = memchr(stanza.at, '\n', stanza.len);
        *name = (struct pv_slice){stanza.at + n, (end ? (size_t)(end - stanza.at) : stanza.len) - n};
        while (name->len && (name->at[0] == ' ' || name->at[0] == '\t'))
            name->at++, name->len--;
        while (name->len && (unsigned char)name->at[name->len - 1] <= ' ')
            name->len--;
        return name->len > 0;
    }
    return pv_deb822_line(stanza, "Package", name) == 1 && name->len > 0;
}

int pv_catalog_add_bytes(struct pv_catalog *c, const char *data, size_t len, int source)
{
    struct pv_slice stanza, name;
    for (size_t at = 0; pv_deb822_next(data, len, &at, &stanza);)
        if (!stanza_name(stanza, &name) || !add_entry(c, stanza, name, source))
            return -2;
    return 0;
}

int pv_catalog_add(struct pv_catalog *c, const char *path, int source)
{
    struct stat st;
    int result = -1, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) != 0)
        goto out;
    result = -2;
    if (!S_ISREG(st.st_mode) || st.st_size > PV_CATALOG_FILE_MAX || c->n_files == PV_CATALOG_FILES_MAX)
        goto out;
    result = 0;
    if (st.st_size == 0)
        goto out;
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        result = -1;
        goto out;
    }
    c->files[c->n_files].map = map;
    c->files[c->n_files++].len = (size_t)st.st_size;
    result = pv_catalog_add_bytes(c, map, (size_t)st.st_size, source);
out:
    close(fd);
    return result;
}

void pv_catalog_clear(struct pv_catalog *c)
{
    for (size_t i = 0; i < c->n_files; i++)
        munmap(c->files[i].map, c->files[i].len);
    free(c->entries);
    memset(c, 0, sizeof *c);
}

static int compare_names(struct pv_slice a, struct pv_slice b)
{
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare(const void *a, const void *b)
{
    const struct pv_entry *x = a, *y = b;
    int order = compare_names(x->name, y->name);
    if (order)
        return order;
    return x->source != y->source ? (x->source > y->source) - (x->source < y->source)
                                  : (x->stanza.at > y->stanza.at) - (x->stanza.at < y->stanza.at);
}

const struct pv_entry *pv_catalog_find(struct pv_catalog *c, struct pv_slice name, size_t *n)
{
    if (!c->sorted && c->n_entries)
        qsort(c->entries, c->n_entries, sizeof *c->entries, compare);
    c->sorted = true;
    size_t low = 0, high = c->n_entries;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_names(c->entries[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *n = 0;
    while (low + *n < c->n_entries && pv_slice_same(c->entries[low + *n].name, name))
        (*n)++;
    return *n ? c->entries + low : NULL;
}

static bool in_list(struct pv_slice word, const char *const *list)
{
    for (; *list; list++)
        if (pv_slice_is(word, *list))
            return true;
    return false;
}

/* "want flag state" of dpkg(1), each out of its own list. */
static bool read_status(struct pv_slice status, struct pv_facts *f)
{
    static const char *const wants[] = {"unknown", "install", "hold", "deinstall", "purge", NULL};
    static const char *const states[] = {"not-installed",    "config-files",    "half-installed",
                                         "unpacked",         "half-configured", "triggers-awaited",
                                         "triggers-pending", "installed",       NULL};
    struct pv_slice words[3];
    for (size_t i = 0; i < 3; i++) {
        const char *space = memchr(status.at, ' ', status.len);
        if (!space != (i == 2))
            return false;
        size_t n = space ? (size_t)(space - status.at) : status.len;
        words[i] = (struct pv_slice){status.at, n};
        status.at += n + (space ? 1 : 0);
        status.len -= n + (space ? 1 : 0);
    }
    bool reinstreq = pv_slice_is(words[1], "reinstreq");
    if (!in_list(words[0], wants) || !(reinstreq || pv_slice_is(words[1], "ok")) || !in_list(words[2], states))
        return false;
    bool gone = pv_slice_is(words[2], "not-installed");
    f->held = pv_slice_is(words[0], "hold");
    f->config_files = pv_slice_is(words[2], "config-files");
    f->installed = pv_slice_is(words[2], "installed") && !reinstreq;
    f->broken = reinstreq || (!gone && !f->config_files && !f->installed);
    return true;
}

/* A file below the repository: relative, of printable characters, never leaving it. */
static bool filename_plain(struct pv_slice s)
{
    if (s.len == 0 || s.len > 1000 || s.at[0] == '/')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.at[i] <= ' ' || s.at[i] == 0x7f)
            return false;
        bool starts = i == 0 || s.at[i - 1] == '/';
        if (starts && s.len - i >= 2 && s.at[i] == '.' && s.at[i + 1] == '.' && (s.len - i == 2 || s.at[i + 2] == '/'))
            return false;
    }
    return true;
}

static bool word_or_empty(struct pv_slice s, size_t max)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] <= ' ' || s.at[i] == 0x7f)
            return false;
    return s.len <= max;
}

bool pv_facts_read(const struct pv_entry *entry, struct pv_facts *f)
{
    struct pv_slice s = entry->stanza, value;
    bool status = entry->source == PV_CATALOG_STATUS;
    memset(f, 0, sizeof *f);
    if (!pv_deb822_valid(s) || pv_deb822_line(s, "Package", &f->name) != 1 || !pv_slice_same(f->name, entry->name) ||
        pv_deb822_line(s, "Version", &f->version) < 0 || pv_deb822_line(s, "Architecture", &f->arch) < 0 ||
        pv_deb822_line(s, "Section", &f->section) < 0 || pv_deb822_line(s, "Essential", &value) < 0)
        return false;
    f->essential = pv_slice_is(value, "yes");
    if (!pv_apt_name_valid(f->name.at, f->name.len) || !word_or_empty(f->section, 255))
        return false;
    if (pv_deb822_field(s, "Depends", &f->depends) < 0 || pv_deb822_field(s, "Pre-Depends", &f->pre_depends) < 0 ||
        pv_deb822_field(s, "Recommends", &f->recommends) < 0 || pv_deb822_field(s, "Conflicts", &f->conflicts) < 0 ||
        pv_deb822_field(s, "Breaks", &f->breaks) < 0 || pv_deb822_field(s, "Provides", &f->provides) < 0 ||
        pv_deb822_field(s, "Description", &f->summary) < 0)
        return false;
    const char *newline = f->summary.len ? memchr(f->summary.at, '\n', f->summary.len) : NULL;
    if (newline)
        f->summary.len = (size_t)(newline - f->summary.at);

    if (status) {
        if (pv_deb822_line(s, "Status", &value) != 1 || !read_status(value, f))
            return false;
        if (!f->installed && !f->broken && f->version.len == 0)
            return true;
    }
    if (!pv_apt_version_valid(f->version.at, f->version.len) || !pv_apt_arch_valid(f->arch.at, f->arch.len))
        return false;
    if (status)
        return true;
    return pv_deb822_line(s, "Filename", &f->filename) == 1 && filename_plain(f->filename) &&
           pv_deb822_line(s, "Size", &value) == 1 && pv_deb822_number(value, &f->size) &&
           pv_deb822_line(s, "SHA256", &value) == 1 && pv_deb822_sha256(value, f->sha256);
}
