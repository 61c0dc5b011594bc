/* `proviso fmt`: policies in their one form. A file with errors is told of and never touched. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cli/cli.h"

enum { OPTION_CHECK = 0x200, OPTION_WRITE, OPTION_FORMAT, OPTION_JSON };
enum goal { PRINT, CHECK, WRITE };

struct arguments {
    char **files;
    size_t n_files;
    enum goal goal;
    bool json;
};

static const struct argp_option option_rows[] = {
    {"check", OPTION_CHECK, NULL, 0, "Show what would change, and exit 1 where something would", 0},
    {"write", OPTION_WRITE, NULL, 0, "Replace each file by its form", 0},
    {"format", OPTION_FORMAT, "FORMAT", 0, "Print `text' (the default) or `json'", 0},
    {"json", OPTION_JSON, NULL, 0, "Short for --format json", 0},
    {0},
};

static void set_goal(struct arguments *arguments, struct argp_state *state, enum goal goal)
{
    if (arguments->goal != PRINT && arguments->goal != goal)
        argp_error(state, "--check and --write exclude each other");
    arguments->goal = goal;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case OPTION_CHECK: set_goal(arguments, state, CHECK); return 0;
    case OPTION_WRITE: set_goal(arguments, state, WRITE); return 0;
    case OPTION_FORMAT:
        if (strcmp(argument, "text") != 0 && strcmp(argument, "json") != 0)
            argp_error(state, "`%s' is no format: text, json", argument);
        arguments->json = strcmp(argument, "json") == 0;
        return 0;
    case OPTION_JSON: arguments->json = true; return 0;
    case ARGP_KEY_ARGS:
        arguments->files = state->argv + state->next;
        arguments->n_files = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "no file is given; `-' is standard input"); return 0;
    case ARGP_KEY_END:
        for (size_t i = 0; arguments->goal == WRITE && i < arguments->n_files; i++)
            if (strcmp(arguments->files[i], "-") == 0)
                argp_error(state, "standard input cannot be written to");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* One file. The program's arena is freed by the caller. */
struct formatted {
    const char *path;
    struct pv_arena *arena;
    struct pv_program *program;
    const struct pv_source_file *source; /* NULL where it could not be read */
    const char *text;                    /* its form; NULL where it has errors */
    size_t len;
    bool changed, written;
};

static int format_file(struct formatted *file)
{
    static const struct pv_load_options options = {.alone = true};
    file->arena = pv_arena_new(0);
    int rc = file->arena ? pv_load_program(file->arena, file->path, &options, &file->program) : PV_E_NOMEM;
    if (rc == 0 && file->program->sources.n_files)
        file->source = pv_sources_file(&file->program->sources, 0);
    if (rc == 0 && file->source && !pv_diags_errors(&file->program->diags))
        rc = pv_format(file->arena, &file->program->sources, 0, &file->text, &file->len);
    if (rc < 0) {
        pv_cli_error("%s: %s", file->path,
                     rc == PV_E_NOMEM ? "out of memory" : "internal error: its form does not say the same");
        return -1;
    }
    file->changed = file->text && file->source &&
                    (file->len != file->source->len || memcmp(file->text, file->source->text, file->len) != 0);
    return 0;
}

static void free_file(struct formatted *file)
{
    pv_arena_free(file->arena);
}

/* The diff to a file's form, malloc'd; NULL without memory. */
static char *diff_of(const struct formatted *file)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    int rc = pv_cli_diff(out, file->path, file->source->text, file->source->len, file->text, file->len, false);
    if (fclose(out) != 0 || rc < 0) {
        free(text);
        return NULL;
    }
    return text;
}

static json_t *json_of(const struct formatted *file, enum goal goal)
{
    json_t *row = json_object(), *diagnostics = json_array();
    int failed = pv_cli_diags_json(diagnostics, &file->program->diags) ||
                 json_object_set_new(row, "file", pv_cli_json_text(file->path, strlen(file->path))) ||
                 json_object_set_new(row, "changed", file->text ? json_boolean(file->changed) : json_null());
    if (goal == WRITE)
        failed = failed || json_object_set_new(row, "written", json_boolean(file->written));
    else if (goal == PRINT)
        failed =
            failed || json_object_set_new(row, "text", file->text ? json_stringn(file->text, file->len) : json_null());
    else if (file->changed) {
        char *diff = diff_of(file);
        failed = failed || !diff || json_object_set_new(row, "diff", pv_cli_json_text(diff, strlen(diff)));
        free(diff);
    }
    failed = failed || json_object_set(row, "diagnostics", diagnostics);
    json_decref(diagnostics);
    if (failed) {
        json_decref(row);
        return NULL;
    }
    return row;
}

/* Tells what came of a file. 0, or -1 and said. */
static int show(const struct formatted *file, const struct arguments *arguments, json_t *rows)
{
    struct pv_diags *diags = &file->program->diags;
    if (rows)
        return json_array_append_new(rows, json_of(file, arguments->goal)) == 0 ? 0
                                                                                : (pv_cli_error("out of memory"), -1);
    if (!file->text) {
        pv_diags_finish(diags);
        fflush(stdout);
        pv_diags_print(diags, stderr, pv_cli_colour(stderr), 0);
    } else if (arguments->goal == PRINT) {
        fwrite(file->text, 1, file->len, stdout);
    } else if (arguments->goal == CHECK && file->changed &&
               pv_cli_diff(stdout, file->path, file->source->text, file->source->len, file->text, file->len,
                           pv_cli_colour(stdout)) < 0) {
        pv_cli_error("out of memory");
        return -1;
    }
    return 0;
}

struct totals {
    json_int_t errors, changed; /* files */
    bool failed;                /* a file could not be read or written */
};

static int format_one(const char *path, const struct arguments *arguments, json_t *rows, struct totals *totals)
{
    struct formatted file = {.path = path};
    int rc = format_file(&file);
    if (rc == 0) {
        if (file.changed && arguments->goal == WRITE)
            file.written = pv_cli_rewrite(path, file.text, file.len) == 0;
        totals->failed = totals->failed || !file.source || (arguments->goal == WRITE && file.changed && !file.written);
        totals->errors += !file.text;
        totals->changed += file.changed;
        rc = show(&file, arguments, rows);
    }
    free_file(&file);
    return rc;
}

static int format_all(const struct pv_cli_files *files, const struct arguments *arguments)
{
    struct totals totals = {0};
    json_t *output = NULL, *rows = NULL;
    int rc = 0;
    if (arguments->json) {
        rows = json_array();
        output = pv_cli_object("fmt");
        json_object_set_new(output, "files", rows);
    }
    for (size_t i = 0; rc == 0 && i < files->n; i++)
        rc = format_one(files->paths[i], arguments, rows, &totals);
    if (rc == 0 && output) {
        json_object_set_new(output, "errors", json_integer(totals.errors));
        json_object_set_new(output, "changed", json_integer(totals.changed));
        rc = pv_cli_print_json(stdout, json_incref(output)) ? 0 : -1;
    }
    json_decref(output);
    if (rc < 0 || totals.failed)
        return PV_CLI_ERROR;
    bool finding = totals.errors || (arguments->goal == CHECK && totals.changed);
    return pv_cli_finish(finding ? PV_CLI_FINDING : PV_CLI_GOOD);
}

int pv_cli_fmt(int argc, char **argv)
{
    static const struct argp argp = {
        option_rows,
        parse_option,
        "FILE...",
        "Bring policies into their one form: print it, show what it would change, or write it.\v"
        "`-' is standard input; a directory stands for every .policy file below it. A file with errors is never "
        "touched. Exit 0: good; 1: a file with errors, or with --check one that is not in form; 2: usage, or a file "
        "that cannot be read or written.",
        NULL,
        NULL,
        NULL};
    struct arguments arguments = {0};
    struct pv_cli_files files;
    int code = PV_CLI_ERROR;
    if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) == 0 &&
        pv_cli_files(&files, arguments.files, arguments.n_files) == 0) {
        code = format_all(&files, &arguments);
        pv_cli_files_free(&files);
    }
    return code;
}
