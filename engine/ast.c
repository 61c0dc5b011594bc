/* The words of the tree's kinds. */
#include "engine/ast.h"

const char *pv_ast_decl_word(enum pv_ast_decl_kind kind)
{
    static const char *const words[PV_AST_N_DECLS] = {"policy", "import", "role",      "source",    "sources",
                                                      "set",    "window", "condition", "attribute", "command",
                                                      "rule",   "assert", "test"};
    return words[kind];
}

const char *pv_ast_rule_word(enum pv_ast_rule_kind kind)
{
    static const char *const words[] = {"allow", "deny", "require", "direct"};
    return words[kind];
}

const char *pv_ast_clause_word(enum pv_ast_clause_kind kind)
{
    static const char *const words[] = {"when", "unless", "during", "until", "because"};
    return words[kind];
}

const char *pv_ast_duty_word(enum pv_duty_kind kind)
{
    static const char *const words[] = {
        [PV_D_REASON] = "reason", [PV_D_APPROVAL] = "approval", [PV_D_TIMEOUT] = "timeout", [PV_D_ACCOUNT] = "account",
        [PV_D_WINDOW] = "window", [PV_D_NOTICE] = "notice",     [PV_D_ALERT] = "alert"};
    return words[kind];
}

const char *pv_ast_annotation_word(enum pv_ast_annotation_kind kind)
{
    static const char *const words[PV_AST_N_NOTES] = {"id", "title", "owner", "ticket", "severity"};
    return words[kind];
}

const char *pv_ast_weekday_word(unsigned day)
{
    static const char *const words[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    return words[day % 7];
}

const char *pv_ast_cmp_word(enum pv_cmp cmp)
{
    static const char *const words[] = {
        [PV_EQ] = "==", [PV_NE] = "!=", [PV_LT] = "<", [PV_LE] = "<=", [PV_GT] = ">", [PV_GE] = ">="};
    return words[cmp];
}
