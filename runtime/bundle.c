/* Loading a bundle. The file is used where it lies: sections become typed pointers, and only what a file cannot hold is
 * built beside it (masks of globs, zones, two small tables of duties).
 *
 * Nothing is trusted before it was checked, in this order: the signature over every byte, header and layout, the
 * content hash, the rows (tables.c), the programs (verify.c), the zones. What passes has no reference out of its
 * section and no jump out of its program, so nothing that reads a loaded bundle checks again. */
#include "runtime/internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t row;
} sections[PVB_N_SECTIONS] = {
#define ROW(id, type, field) [PVB_##id] = {#id, sizeof(type)},
    PV_SECTIONS(ROW)
#undef ROW
};

int pv_refuse(const struct pv_bundle *bundle, struct pv_error *error, enum pvb_section section, size_t row,
              const char *format, ...)
{
    char sentence[200];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    return pv_fail(error, PV_E_BUNDLE, bundle->header->section[section].offset + row * sections[section].row,
                   "%s[%zu]: %s", sections[section].name, row, sentence);
}

/* ---- Header and layout ---- */

static int check_header(const struct pvb_header *h, size_t len, struct pv_error *error)
{
    if (len < sizeof(h->magic) || memcmp(h->magic, PVB_MAGIC, sizeof(h->magic)) != 0)
        return pv_fail(error, PV_E_BUNDLE, 0, "not a policy bundle");
    if (len < offsetof(struct pvb_header, file_size))
        return pv_fail(error, PV_E_BUNDLE, len, "the file ends inside its header");
    if (h->format != PVB_FORMAT)
        return pv_fail(error, PV_E_FORMAT, offsetof(struct pvb_header, format),
                       "bundle format %u; this reader knows %u", h->format, PVB_FORMAT);
    if (h->language != PVB_LANGUAGE)
        return pv_fail(error, PV_E_FORMAT, offsetof(struct pvb_header, language),
                       "language version %u; this reader knows %u", h->language, PVB_LANGUAGE);
    if (len < sizeof(*h))
        return pv_fail(error, PV_E_BUNDLE, len, "the file ends inside its header");
    if (h->n_builtin_attrs != PV_N_BUILTIN)
        return pv_fail(error, PV_E_FORMAT, offsetof(struct pvb_header, n_builtin_attrs),
                       "%u built-in attributes; this reader knows %u", h->n_builtin_attrs, (unsigned)PV_N_BUILTIN);
    if (h->file_size != len)
        return pv_fail(error, PV_E_BUNDLE, offsetof(struct pvb_header, file_size),
                       "the header says %llu bytes, the file has %zu", (unsigned long long)h->file_size, len);
    if (h->flags & ~(uint32_t)PVB_FLAG_LIBRARY)
        return pv_fail(error, PV_E_BUNDLE, offsetof(struct pvb_header, flags), "unknown flags in the header");
    if (h->pad)
        return pv_fail(error, PV_E_BUNDLE, offsetof(struct pvb_header, pad), "padding of the header is not zero");
    return 0;
}

static bool all_zero(const unsigned char *from, const unsigned char *to)
{
    while (from < to) {
        if (*from++)
            return false;
    }
    return true;
}

/* The sections lie one behind the other, each 8-byte aligned, and fill the file. */
static int map_sections(struct pv_bundle *b, size_t len, struct pv_error *error)
{
    uint64_t end = sizeof(struct pvb_header);
    const void *start[PVB_N_SECTIONS];
    uint32_t n[PVB_N_SECTIONS];
    for (int i = 0; i < PVB_N_SECTIONS; i++) {
        const struct pvb_section_entry *entry = &b->header->section[i];
        uint64_t at = (uint64_t)((const unsigned char *)entry - b->data);
        uint64_t aligned = (end + 7) & ~UINT64_C(7);
        if (entry->offset != aligned || aligned > len)
            return pv_fail(error, PV_E_BUNDLE, at, "section %s does not follow the one before it", sections[i].name);
        if (entry->size > len - aligned)
            return pv_fail(error, PV_E_BUNDLE, at, "section %s ends outside the file", sections[i].name);
        if (entry->size % sections[i].row)
            return pv_fail(error, PV_E_BUNDLE, at, "section %s holds a part of a row", sections[i].name);
        if (!all_zero(b->data + end, b->data + aligned))
            return pv_fail(error, PV_E_BUNDLE, end, "bytes between sections are not zero");
        start[i] = b->data + entry->offset;
        n[i] = (uint32_t)(entry->size / sections[i].row);
        end = entry->offset + entry->size;
    }
    if (len - end > 7 || !all_zero(b->data + end, b->data + len))
        return pv_fail(error, PV_E_BUNDLE, end, "bytes after the last section");
#define MAP(id, type, field)                                                                                           \
    b->field = start[PVB_##id];                                                                                        \
    b->n_##field = n[PVB_##id];
    PV_SECTIONS(MAP)
#undef MAP
    return 0;
}

/* Sets data, header and sections of `b`, first of all. */
static int check_layout(struct pv_bundle *b, const void *data, size_t len, struct pv_error *error)
{
    if (!data || (uintptr_t)data % 8) {
        pv_fail(error, PV_E_INVAL, 0, "a bundle must lie at an address that 8 divides");
        return PV_E_INVAL;
    }
    if (len > PVB_MAX_FILE) {
        pv_fail(error, PV_E_LIMIT, 0, "larger than %u bytes", PVB_MAX_FILE);
        return PV_E_LIMIT;
    }
    b->data = data;
    b->header = data;
    int status = check_header(b->header, len, error);
    return status ? status : map_sections(b, len, error);
}

static int check_content_hash(const struct pv_bundle *b, const struct pv_host *host, struct pv_error *error)
{
    struct pvb_header header = *b->header;
    memset(header.content_hash, 0, sizeof(header.content_hash));
    header.file_size = 0;
    memset(&header.section[PVB_DEBUG_BYTES], 0, 3 * sizeof(*header.section));
    const void *parts[] = {&header, b->data + sizeof(header)};
    size_t lens[] = {sizeof(header), (size_t)b->header->section[PVB_DEBUG_BYTES].offset - sizeof(header)};
    uint8_t hash[32];
    if (host->sha256(host->context, parts, lens, 2, hash) != 0)
        return pv_fail(error, PV_E_IO, 0, "the content hash could not be computed");
    if (memcmp(hash, b->header->content_hash, sizeof(hash)) != 0)
        return pv_fail(error, PV_E_BUNDLE, offsetof(struct pvb_header, content_hash),
                       "the content hash is not that of the content");
    return 0;
}

/* ---- What is built beside the file ---- */

static int load_zone(struct pv_zone **out, const struct pv_host *host, const char *name, struct pv_error *error)
{
    const void *data = NULL;
    size_t len = 0;
    if (!host || !host->load_zone || host->load_zone(host->context, name, &data, &len) != 0)
        return *name ? pv_fail(error, PV_E_ZONE, 0, "this host has no zone \"%s\"", name)
                     : pv_fail(error, PV_E_ZONE, 0, "the host's time zone cannot be read");
    int status = pv_zone_parse(out, name, data, len, error);
    if (host->release_zone)
        host->release_zone(host->context, data, len);
    return status;
}

static int load_zones(struct pv_bundle *b, const struct pv_host *host, struct pv_error *error)
{
    b->zones_ready = calloc(b->n_zones, sizeof(*b->zones_ready));
    if (!b->zones_ready)
        return pv_fail(error, PV_E_NOMEM, 0, "out of memory");
    for (uint32_t i = 0; i < b->n_zones; i++) {
        int status = load_zone(&b->zones_ready[i], host, pv_string_at(b, b->zones[i]).ptr, error);
        if (status)
            return status;
    }
    /* For pv_bundle_local_time() alone, unless a row names it. */
    int status = load_zone(&b->host_zone, host, "", NULL);
    return status == PV_E_NOMEM ? pv_fail(error, status, 0, "out of memory") : 0;
}

/* Duties of one kind and text are one duty for a decision; requires whose accounts may clash are looked at by every
 * verdict. */
static int index_duties(struct pv_bundle *b, struct pv_error *error)
{
    uint32_t *first = calloc((size_t)b->n_strings * (PV_D_ALERT + 1), sizeof(*first)); /* duty + 1, by text and kind */
    b->duty_twin = calloc((size_t)b->n_duties + 1, sizeof(*b->duty_twin));
    b->account_rules = calloc((size_t)b->n_rules + 1, sizeof(*b->account_rules));
    if (!first || !b->duty_twin || !b->account_rules) {
        free(first);
        return pv_fail(error, PV_E_NOMEM, 0, "out of memory");
    }
    for (uint32_t i = 0; i < b->n_duties; i++) {
        uint32_t *seen = &first[b->duties[i].text * (size_t)(PV_D_ALERT + 1) + b->duties[i].kind];
        if (!*seen)
            *seen = i + 1;
        b->duty_twin[i] = *seen - 1;
    }
    free(first);

    uint32_t account = 0;
    bool differ = false;
    for (uint32_t r = 0; r < b->n_rules; r++) {
        if (pv_rule_accounts(b, r, &account, &differ))
            b->account_rules[b->n_account_rules++] = r;
    }
    if (!differ)
        b->n_account_rules = 0;
    return 0;
}

/* ---- Loading ---- */

static int load(struct pv_bundle *b, const void *data, size_t len, const struct pv_host *host, struct pv_error *error)
{
    if (host && host->verify && host->verify(host->context, data, len) != 0)
        return pv_fail(error, PV_E_SIGNATURE, 0, "the signature is missing or not that of this bundle");
    int status = check_layout(b, data, len, error);
    if (status)
        return status;
    if (host && host->sha256 && (status = check_content_hash(b, host, error)) != 0)
        return status;
    uint64_t bound = 0;
    status = pv_check_tables(b, error);
    if (!status)
        status = pv_verify(b, &bound, &b->clause_bound, error);
    if (!status && bound != b->header->bound)
        status = pv_fail(error, PV_E_BUNDLE, offsetof(struct pvb_header, bound),
                         "the header claims a bound of %llu steps, the program's is %llu",
                         (unsigned long long)b->header->bound, (unsigned long long)bound);
    if (!status)
        status = pv_globs_prepare(&b->globs_ready, b->globs, b->n_globs, b->glob_tokens, error);
    if (!status)
        status = load_zones(b, host, error);
    if (!status)
        status = index_duties(b, error);
    return status;
}

int pv_bundle_load(struct pv_bundle **out, const void *data, size_t len, const struct pv_host *host,
                   struct pv_error *error)
{
    *out = NULL;
    if (error)
        *error = (struct pv_error){0};
    struct pv_bundle *b = calloc(1, sizeof(*b));
    if (!b)
        return pv_fail(error, PV_E_NOMEM, 0, "out of memory");
    int status = load(b, data, len, host, error);
    if (status) {
        pv_bundle_free(b);
        return status;
    }
    *out = b;
    return 0;
}

void pv_bundle_free(struct pv_bundle *bundle)
{
    if (!bundle)
        return;
    pv_globs_free(bundle->globs_ready);
    for (uint32_t i = 0; bundle->zones_ready && i < bundle->n_zones; i++)
        pv_zone_free(bundle->zones_ready[i]);
    free(bundle->zones_ready);
    pv_zone_free(bundle->host_zone);
    free(bundle->account_rules);
    free(bundle->duty_twin);
    free(bundle);
}

int pv_bundle_compute_bound(const void *data, size_t len, uint64_t *bound, struct pv_error *error)
{
    *bound = 0;
    if (error)
        *error = (struct pv_error){0};
    struct pv_bundle b = {0};
    uint64_t clause_bound;
    int status = check_layout(&b, data, len, error);
    if (!status)
        status = pv_check_tables(&b, error);
    if (!status)
        status = pv_verify(&b, bound, &clause_bound, error);
    if (status)
        *bound = 0;
    return status;
}

/* ---- Reading ---- */

const char *pv_bundle_name(const struct pv_bundle *bundle)
{
    return pv_string_at(bundle, bundle->header->name).ptr;
}

const char *pv_bundle_title(const struct pv_bundle *bundle)
{
    return pv_string_at(bundle, bundle->header->title).ptr;
}

uint64_t pv_bundle_version(const struct pv_bundle *bundle)
{
    return bundle->header->policy_version;
}

const uint8_t *pv_bundle_content_hash(const struct pv_bundle *bundle)
{
    return bundle->header->content_hash;
}

const char *pv_bundle_zone(const struct pv_bundle *bundle)
{
    return pv_string_at(bundle, bundle->zones[0]).ptr;
}

bool pv_bundle_is_library(const struct pv_bundle *bundle)
{
    return bundle->header->flags & PVB_FLAG_LIBRARY;
}

uint64_t pv_bundle_bound(const struct pv_bundle *bundle)
{
    return bundle->header->bound;
}

uint64_t pv_bundle_clause_bound(const struct pv_bundle *bundle)
{
    return bundle->clause_bound;
}

size_t pv_bundle_memory(const struct pv_bundle *bundle)
{
    size_t total = sizeof(*bundle) + pv_globs_memory(bundle->globs_ready) +
                   bundle->n_zones * sizeof(*bundle->zones_ready) +
                   ((size_t)bundle->n_rules + 1) * sizeof(*bundle->account_rules) +
                   ((size_t)bundle->n_duties + 1) * sizeof(*bundle->duty_twin);
    for (uint32_t i = 0; i < bundle->n_zones; i++)
        total += pv_zone_memory(bundle->zones_ready[i]);
    return bundle->host_zone ? total + pv_zone_memory(bundle->host_zone) : total;
}

const void *pv_bundle_section(const struct pv_bundle *bundle, int section, size_t *n_rows)
{
    assert(section >= 0 && section < PVB_N_SECTIONS);
    const struct pvb_section_entry *entry = &bundle->header->section[section];
    if (n_rows)
        *n_rows = entry->size / sections[section].row;
    return bundle->data + entry->offset;
}

const char *pv_bundle_string(const struct pv_bundle *bundle, uint32_t string, size_t *len)
{
    assert(string < bundle->n_strings);
    if (len)
        *len = bundle->strings[string].len;
    return bundle->bytes + bundle->strings[string].offset;
}

uint32_t pv_bundle_intern(const struct pv_bundle *bundle, const char *ptr, size_t len)
{
    uint32_t mask = bundle->n_strhash - 1;
    uint32_t slot = (uint32_t)pv_hash(ptr, len) & mask;
    for (uint32_t probe = 0; probe < PVB_MAX_PROBE; probe++, slot = (slot + 1) & mask) {
        uint32_t string = bundle->strhash[slot];
        if (!string)
            break;
        const struct pvb_str *row = &bundle->strings[string];
        if (row->len == len && memcmp(bundle->bytes + row->offset, ptr, len) == 0)
            return string;
    }
    return 0;
}

int pv_bundle_slot(const struct pv_bundle *bundle, const char *path, size_t len)
{
    uint32_t string = len ? pv_bundle_intern(bundle, path, len) : 0;
    for (uint32_t i = 0; string && i < bundle->n_attrs; i++) {
        if (bundle->attrs[i].path == string)
            return bundle->attrs[i].flags & PV_ATTR_HIDDEN ? PV_E_UNKNOWN : (int)i;
    }
    return PV_E_UNKNOWN;
}

int pv_bundle_command(const struct pv_bundle *bundle, const char *name, size_t len)
{
    uint32_t string = len ? pv_bundle_intern(bundle, name, len) : 0;
    for (uint32_t i = 0; string && i < bundle->n_commands; i++) {
        if (bundle->commands[i].name == string)
            return (int)i;
    }
    return PV_E_UNKNOWN;
}

int pv_bundle_source(const struct pv_bundle *bundle, const char *name, size_t len)
{
    uint32_t string = len ? pv_bundle_intern(bundle, name, len) : 0;
    for (uint32_t i = 0; string && i < bundle->n_sources; i++) {
        if (bundle->sources[i].name == string)
            return (int)i;
    }
    return PV_E_UNKNOWN;
}

/* In debug sections paths are NUL-terminated; checked at load. */
const char *pv_rule_file(const struct pv_bundle *bundle, uint32_t rule, uint32_t *line, size_t *len)
{
    assert(rule < bundle->n_rules);
    const struct pvb_debug_rule *debug = &bundle->debug_rules[rule];
    if (line)
        *line = debug->line;
    if (len)
        *len = debug->file_len;
    return debug->file_len ? bundle->debug_bytes + debug->file : "";
}

const char *pv_rule_id(const struct pv_bundle *bundle, uint32_t rule, char *buffer, size_t size)
{
    assert(rule < bundle->n_rules);
    if (bundle->rules[rule].id)
        return pv_string_at(bundle, bundle->rules[rule].id).ptr;
    uint32_t line;
    const char *file = pv_rule_file(bundle, rule, &line, NULL);
    snprintf(buffer, size, "%s:%u", file, line);
    return buffer;
}

static int wall_time(const struct pv_zone *zone, int64_t days, int32_t second_of_day, int64_t *seconds)
{
    if (days < PV_MIN_TIME / 86400 || days > PV_MAX_TIME / 86400 || second_of_day < 0 || second_of_day >= 86400)
        return PV_E_LIMIT;
    *seconds = pv_zone_instant(zone, days, second_of_day);
    return 0;
}

int pv_bundle_zone_time(const struct pv_bundle *bundle, uint32_t zone, int64_t days, int32_t second_of_day,
                        int64_t *seconds)
{
    *seconds = 0;
    return zone < bundle->n_zones ? wall_time(bundle->zones_ready[zone], days, second_of_day, seconds) : PV_E_INVAL;
}

int pv_bundle_local_time(const struct pv_bundle *bundle, int64_t days, int32_t second_of_day, int64_t *seconds)
{
    *seconds = 0;
    return bundle->host_zone ? wall_time(bundle->host_zone, days, second_of_day, seconds) : PV_E_ZONE;
}
