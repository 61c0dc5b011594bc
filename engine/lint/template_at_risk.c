/* A command whose program does more with a value than its author meant: a shell or an interpreter reads values as text
 * of its own language, a program that runs programs takes one as its name, a path in a folder of everyone's is whatever
 * someone put there, and a pattern with `**` lets a path climb out by `..`. */
#include "engine/lint/lint.h"

#include <string.h>

static bool is_one_of(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(list[i]);
        /* python3, python3.11, perl5.36: versions count for nothing. */
        if (!strncmp(name, list[i], len) && strspn(name + len, "0123456789.") == strlen(name + len))
            return true;
    }
    return false;
}
#define ONE_OF(name, list) is_one_of((name), (list), sizeof(list) / sizeof *(list))

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void tell(struct pv_lint *lint, struct pv_span span, const char *sentence, const char *name, const char *hint)
{
    struct pv_diag *diag = pv_report(lint->diags, PV_DIAG_TEMPLATE_AT_RISK, span, "`%s` %s", name, sentence);
    pv_diag_hint(lint->diags, diag, "%s", hint);
}

static void check_program(struct pv_lint *lint, const struct pv_ast_element *program)
{
    static const char *const shells[] = {"sh",   "bash",  "dash", "zsh",    "ksh", "fish",  "busybox", "python",
                                         "perl", "ruby",  "node", "nodejs", "php", "lua",   "awk",     "gawk",
                                         "mawk", "tclsh", "sed",  "ed",     "vim", "expect"};
    static const char *const runners[] = {"env",     "sudo", "su",     "xargs",       "find",    "nice",    "nohup",
                                          "timeout", "time", "setsid", "chroot",      "nsenter", "unshare", "ssh",
                                          "runuser", "doas", "pkexec", "systemd-run", "watch",   "strace",  "gdb"};
    static const char *const shared[] = {"/tmp/", "/var/tmp/", "/dev/shm/", "/home/", "/run/user/"};
    const char *path = program->text.ptr, *name = base_name(path);
    const struct pv_ast_element *value = program->next;
    while (value && !value->path)
        value = value->next;
    if (value && ONE_OF(name, shells))
        tell(lint, value->span, "goes to an interpreter, which may read it as text of its own language",
             value->path->text.ptr, "run the program itself, or a script that takes the value as data");
    else if (value && ONE_OF(name, runners))
        tell(lint, value->span, "goes to a program that runs other programs, and may become one's name or option",
             value->path->text.ptr, "run the program itself");
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        if (!strncmp(path, shared[i], strlen(shared[i])))
            tell(lint, program->span, "lies where people other than root can write", path,
                 "put the program where root alone can write, like /usr/local/bin");
}

static bool used_in(const struct pv_ast_element *elements, const char *kind, const struct pv_ast_command_item *item)
{
    for (const struct pv_ast_element *e = elements; e; e = e->next)
        if (e->path && !strcmp(e->path->head.text.ptr, kind) && e->path->tail.text.ptr == item->name.text.ptr)
            return true;
    return false;
}

/* `/` somewhere before `**`: a path that reaches down from a folder. */
static void check_members(struct pv_lint *lint, const struct pv_ast_set *set)
{
    for (const struct pv_ast_item *item = set->first; item; item = item->next) {
        const char *stars = item->kind == PV_AST_ITEM_PATTERN ? strstr(item->text.ptr, "**") : NULL;
        if (stars && memchr(item->text.ptr, '/', (size_t)(stars - item->text.ptr)))
            tell(lint, item->span, "takes `..` too, and so every path", item->text.ptr,
                 "`*` stops at `/`: write one pattern for each depth, or name the files");
    }
}

void pv_lint_template_at_risk(struct pv_lint *lint)
{
    for (uint32_t i = 0; i < lint->program->n_decls; i++) {
        const struct pv_ast_decl *decl = lint->program->decls[i];
        const struct pv_ast_command_item *run =
            decl->kind == PV_AST_DECL_COMMAND ? decl->command->prop[PV_AST_COMMAND_RUN] : NULL;
        if (!run)
            continue;
        check_program(lint, run->elements);
        for (const struct pv_ast_command_item *item = decl->command->first; item; item = item->next) {
            const char *kind = item->kind == PV_AST_COMMAND_ARGUMENT ? "argument"
                               : item->kind == PV_AST_COMMAND_OPTION ? "option"
                                                                     : NULL;
            if (!kind || !used_in(run->elements, kind, item))
                continue;
            const struct pv_ast_set *members = item->members;
            if (!members && item->members_name.text.ptr)
                members = pv_lint_set_named(lint, item->members_name.text);
            if (members)
                check_members(lint, members);
        }
    }
}
