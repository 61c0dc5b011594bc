/*
 * The planner's facts: every entry of the permitted sources' indexes and of dpkg's status file, found by name.
 *
 * Files are mapped, not copied (Debian's main index is 45 MB), and entries are sorted by name, so that no index can
 * make look-ups slow by colliding in a hash.
 */
#ifndef PV_AGENTD_APT_CATALOG_H
#define PV_AGENTD_APT_CATALOG_H

#include "agentd/apt/deb822.h"

enum {
    PV_CATALOG_STATUS = -1,          /* the "source" of entries of dpkg's status file */
    PV_CATALOG_FILES_MAX = 1024,     /* indexes */
    PV_CATALOG_FILE_MAX = 1 << 30,   /* bytes of one */
    PV_CATALOG_ENTRIES_MAX = 1 << 22 /* stanzas of all */
};

struct pv_entry {
    struct pv_slice stanza;
    struct pv_slice name;
    int source; /* the number given with the file, or PV_CATALOG_STATUS */
};

struct pv_catalog {
    struct pv_entry *entries;
    size_t n_entries, cap;
    struct {
        void *map;
        size_t len;
    } files[PV_CATALOG_FILES_MAX];
    size_t n_files;
    bool sorted;
};

/* Maps a file and adds its stanzas. 0, -1 when it cannot be read (errno), -2 when a limit is passed or a stanza has no
 * Package field. An empty file is fine. */
int pv_catalog_add(struct pv_catalog *catalog, const char *path, int source);
/* The same for bytes of the caller's, which stay the caller's (tests). */
int pv_catalog_add_bytes(struct pv_catalog *catalog, const char *data, size_t len, int source);
void pv_catalog_clear(struct pv_catalog *catalog);

/* The entries of a name, next to each other: the first and how many. Sorts when files were added since. */
const struct pv_entry *pv_catalog_find(struct pv_catalog *catalog, struct pv_slice name, size_t *n);

/* The strict reading of an entry. */
struct pv_facts {
    struct pv_slice name, arch, version, section, filename, depends, pre_depends, recommends, conflicts, breaks,
        provides, summary;
    uint64_t size;
    uint8_t sha256[32];
    bool essential;
    /* status entries */
    bool installed, broken, config_files, held;
};

/* False when a field that must be there is missing, twice there, or malformed: Package, Version, Architecture, and for
 * an index Filename, Size, SHA256, for a status entry Status. What is optional and absent is empty. An entry of the
 * status file that is not installed may lack version and architecture. */
bool pv_facts_read(const struct pv_entry *entry, struct pv_facts *facts);

#endif
