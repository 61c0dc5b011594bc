/* Arguments that name policies: a directory stands for every .policy file below it, in the order of their paths. */
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/cli/cli.h"

static int add_path(struct pv_cli_files *files, const char *path)
{
    char **grown = realloc(files->paths, (files->n + 1) * sizeof(*grown));
    if (!grown)
        goto no_memory;
    files->paths = grown;
    files->paths[files->n] = strdup(path);
    if (!files->paths[files->n])
        goto no_memory;
    files->n++;
    return 0;
no_memory:
    pv_cli_error("out of memory");
    return -1;
}

static int compare_entries(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_policy_name(const char *name, size_t len)
{
    static const char suffix[] = ".policy";
    return len > sizeof(suffix) - 1 && strcmp(name + len - (sizeof(suffix) - 1), suffix) == 0;
}

static int add_directory(struct pv_cli_files *files, char *path)
{
    char *const roots[] = {path, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, compare_entries);
    if (!walk) {
        pv_cli_error("cannot read %s: %s", path, strerror(errno));
        return -1;
    }
    int rc = 0;
    for (FTSENT *entry; rc == 0 && (entry = fts_read(walk));) {
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS) {
            pv_cli_error("cannot read %s: %s", entry->fts_path, strerror(entry->fts_errno));
            rc = -1;
        } else if (entry->fts_info == FTS_F && is_policy_name(entry->fts_name, entry->fts_namelen)) {
            rc = add_path(files, entry->fts_path);
        }
    }
    fts_close(walk);
    return rc;
}

int pv_cli_files(struct pv_cli_files *files, char **arguments, size_t n_arguments)
{
    *files = (struct pv_cli_files){0};
    for (size_t i = 0; i < n_arguments; i++) {
        struct stat status;
        bool directory = stat(arguments[i], &status) == 0 && S_ISDIR(status.st_mode);
        size_t before = files->n;
        if ((directory ? add_directory(files, arguments[i]) : add_path(files, arguments[i])) < 0)
            goto failed;
        if (files->n == before) {
            pv_cli_error("no .policy file is below %s", arguments[i]);
            goto failed;
        }
    }
    return 0;
failed:
    pv_cli_files_free(files);
    return -1;
}

void pv_cli_files_free(struct pv_cli_files *files)
{
    for (size_t i = 0; i < files->n; i++)
        free(files->paths[i]);
    free(files->paths);
    *files = (struct pv_cli_files){0};
}
