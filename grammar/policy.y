/* The grammar of .policy files (Lemon).
 *
 * It reads as the language. Actions build nodes through the functions of engine/ast_build.h and do nothing else.
 * Syntax errors are told by the caller (engine/parse.c), which asks pv_grammar_accepts() before it feeds a token; when
 * a statement cannot be saved, it feeds BAD (which nothing accepts, so Lemon drops what there is of the statement) and
 * then, at the statement's end, SYNC. */

%name          pv_grammar
%token_prefix  PV_TOK_
%token_type    { struct pv_token }
%extra_argument { struct pv_builder *b }

/* Nesting is bounded by the caller: PV_AST_MAX_NESTING levels at up to five entries each, and a few. */
%stack_size     1536
%stack_overflow { pv_build_overflow(b); }

%syntax_error   { pv_build_syntax_error(b, TOKEN); }

%include {
#include "engine/ast_build.h"
#include "grammar/parser.h"
#include "grammar/token.h"
}

/* Reserved words: POLICY to SUN, in one run. */
%token POLICY IMPORT ROLE SOURCE SET WINDOW CONDITION ATTRIBUTE COMMAND ASSERT TEST ALLOW DENY REQUIRE DIRECT.
%token EVERYONE USER GROUP TO ANY OWN EXCEPT FROM WHEN UNLESS DURING UNTIL BECAUSE FOR BY IN LIKE HAS OVERLAPS.
%token AND OR NOT TRUE FALSE SELF_SERVICE MON TUE WED THU FRI SAT SUN.
%token IDENT DASHED STRING INT SIZE DURATION DATE YEARLY CLOCK ORDINAL.
%token LBRACE RBRACE LPAREN RPAREN SEMI COMMA COLON AT DOT DOTDOT ASSIGN EQ NE LT LE GT GE.
%token BAD SYNC.

/* Words that mean something in one block or clause, and are names everywhere else. */
%fallback IDENT
    VERSION ZONE SOURCES FILE TYPE LOCATION PRIORITY ADMIN_ONLY DISABLED CREDENTIALS KEY UNSIGNED OF OPTIONAL LAST
    ARGUMENT OPTION RUN PROVIDER PACKAGES ACCOUNT TIMEOUT ENVIRONMENT REASON APPROVAL NOTICE ALERT WITH DEPENDENCIES
    NEVER ALWAYS SOMETIMES TIME GIVEN EXPECT REQUIRING.

/* The same in expressions, subjects and sources; comparisons bind tighter and have no chains. */
%left  OR.
%left  AND.
%right NOT.

//////////////////////////////////////////////////////////////////////////////// Files and statements

file ::= statements.

statements ::= .
statements ::= statements statement.

%type declaration { struct pv_ast_decl * }
%type annotations { struct pv_list }

statement ::= annotations(N) declaration(D).  { pv_build_add(b, D, N); }
statement ::= error SYNC.

annotations(L) ::= .                                              { L = pv_list_empty(); }
annotations(L) ::= annotations(M) AT(K) IDENT(N) LPAREN STRING(S) RPAREN(E).
                                                                  { L = pv_build_annotation(b, M, K, N, S, E); }

%type name { struct pv_ast_name }
name(N) ::= IDENT(T).  { N = pv_build_name(b, T); }

// `==` where `=` was meant is told and taken.
becomes ::= ASSIGN.
becomes ::= EQ(T).  { pv_build_becomes(b, T); }

//////////////////////////////////////////////////////////////////////////////// policy, import

%type title { struct pv_ast_string }
%type zone  { struct pv_zone }

declaration(D) ::= POLICY(K) name(N) title(T) VERSION INT(V) zone(Z) SEMI(E).
                                              { D = pv_build_policy(b, K, N, T, V, Z, E); }
title(T) ::= .                                { T = pv_build_no_string(); }
title(T) ::= STRING(S).                       { T = pv_build_string(b, S); }
zone(Z) ::= .                                 { Z = pv_build_no_zone(); }
zone(Z) ::= zone_given(G).                    { Z = G; }

%type zone_given { struct pv_zone }
zone_given(Z) ::= ZONE(K) STRING(S).          { Z = pv_build_zone(b, K, S); }
zone_given(Z) ::= ZONE(K) IDENT(W).           { Z = pv_build_zone_word(b, K, W); }

declaration(D) ::= IMPORT(K) STRING(S) SEMI(E).  { D = pv_build_import(b, K, S, E); }

//////////////////////////////////////////////////////////////////////////////// role, and subjects

%type subject { struct pv_ast_subject * }

declaration(D) ::= ROLE(K) name(N) becomes subject(S) SEMI(E).  { D = pv_build_role(b, K, N, S, E); }

subject(S) ::= subject(L) OR subject(R).      { S = pv_build_subject_join(b, PV_AST_SUBJECT_OR, L, R); }
subject(S) ::= subject(L) AND subject(R).     { S = pv_build_subject_join(b, PV_AST_SUBJECT_AND, L, R); }
subject(S) ::= NOT(K) subject(R).             { S = pv_build_subject_not(b, K, R); }
subject(S) ::= LPAREN(K) subject(R) RPAREN(E).  { S = pv_build_subject_parens(b, K, R, E); }
subject(S) ::= USER(K) STRING(T).             { S = pv_build_subject(b, PV_AST_SUBJECT_USER, K, T); }
subject(S) ::= GROUP(K) STRING(T).            { S = pv_build_subject(b, PV_AST_SUBJECT_GROUP, K, T); }
subject(S) ::= EVERYONE(K).                   { S = pv_build_subject(b, PV_AST_SUBJECT_EVERYONE, K, K); }
subject(S) ::= IDENT(T).                      { S = pv_build_subject(b, PV_AST_SUBJECT_ROLE, T, T); }

//////////////////////////////////////////////////////////////////////////////// source, sources, and their expressions

%type source_props { struct pv_list }
%type source_prop  { struct pv_ast_prop * }

declaration(D) ::= SOURCE(K) name(N) LBRACE source_props(P) RBRACE(E).  { D = pv_build_source(b, K, N, P, E); }

source_props(L) ::= .                               { L = pv_list_empty(); }
source_props(L) ::= source_props(M) source_prop(P).  { L = pv_build_source_prop(b, M, P); }
source_props(L) ::= source_props(M) error SYNC.      { L = M; }

source_prop(P) ::= TYPE(K) IDENT(V) SEMI(E).         { P = pv_build_prop(b, PV_AST_SOURCE_TYPE, K, V, E); }
source_prop(P) ::= LOCATION(K) STRING(V) SEMI(E).    { P = pv_build_prop(b, PV_AST_SOURCE_LOCATION, K, V, E); }
source_prop(P) ::= PRIORITY(K) INT(V) SEMI(E).       { P = pv_build_prop(b, PV_AST_SOURCE_PRIORITY, K, V, E); }
source_prop(P) ::= CREDENTIALS(K) STRING(V) SEMI(E).  { P = pv_build_prop(b, PV_AST_SOURCE_CREDENTIALS, K, V, E); }
source_prop(P) ::= KEY(K) STRING(V) SEMI(E).         { P = pv_build_prop(b, PV_AST_SOURCE_KEY, K, V, E); }
source_prop(P) ::= SELF_SERVICE(K) SEMI(E).          { P = pv_build_flag(b, PV_AST_SOURCE_SELF_SERVICE, K, E); }
source_prop(P) ::= ADMIN_ONLY(K) SEMI(E).            { P = pv_build_flag(b, PV_AST_SOURCE_ADMIN_ONLY, K, E); }
source_prop(P) ::= DISABLED(K) SEMI(E).              { P = pv_build_flag(b, PV_AST_SOURCE_DISABLED, K, E); }
source_prop(P) ::= UNSIGNED(K) SEMI(E).              { P = pv_build_flag(b, PV_AST_SOURCE_UNSIGNED, K, E); }

%type from { struct pv_ast_from * }

declaration(D) ::= SOURCES(K) name(N) becomes from(F) SEMI(E).  { D = pv_build_union(b, K, N, F, E); }

from(F) ::= from(L) OR from(R).               { F = pv_build_from_join(b, PV_AST_FROM_OR, L, R); }
from(F) ::= from(L) AND from(R).              { F = pv_build_from_join(b, PV_AST_FROM_AND, L, R); }
from(F) ::= NOT(K) from(R).                   { F = pv_build_from_not(b, K, R); }
from(F) ::= LPAREN(K) from(R) RPAREN(E).      { F = pv_build_from_parens(b, K, R, E); }
from(F) ::= IDENT(T).                         { F = pv_build_from(b, PV_AST_FROM_NAME, T); }
from(F) ::= SELF_SERVICE(T).                  { F = pv_build_from(b, PV_AST_FROM_SELF_SERVICE, T); }
from(F) ::= ANY(T).                           { F = pv_build_from(b, PV_AST_FROM_ANY, T); }

//////////////////////////////////////////////////////////////////////////////// set

%type set   { struct pv_ast_set * }
%type items { struct pv_list }
%type item  { struct pv_ast_item * }

declaration(D) ::= SET(K) name(N) becomes set(S) SEMI(E).       { D = pv_build_set_decl(b, K, N, S, E); }
declaration(D) ::= SET(K) name(N) becomes FILE STRING(F) SEMI(E).  { D = pv_build_set_file(b, K, N, F, E); }

set(S) ::= LBRACE(K) items(L) RBRACE(E).        { S = pv_build_set(b, K, L, E); }
set(S) ::= LBRACE(K) items(L) COMMA RBRACE(E).  { S = pv_build_set(b, K, L, E); }
set(S) ::= LBRACE(K) RBRACE(E).                 { S = pv_build_empty_set(b, K, E); }
items(L) ::= item(I).                           { L = pv_list_of(I); }
items(L) ::= items(M) COMMA item(I).            { L = PV_APPEND(M, I); }
item(I) ::= STRING(T).                          { I = pv_build_item(b, PV_AST_ITEM_STRING, T, T); }
item(I) ::= LIKE(K) STRING(T).                  { I = pv_build_item(b, PV_AST_ITEM_PATTERN, K, T); }
item(I) ::= IDENT(T).                           { I = pv_build_item(b, PV_AST_ITEM_NAME, T, T); }

//////////////////////////////////////////////////////////////////////////////// window

%type alternatives { struct pv_list }
%type alternative  { struct pv_ast_alternative * }
%type exception    { struct pv_list }
%type days         { struct pv_list }
%type day          { struct pv_ast_days * }
%type dates        { struct pv_list }
%type date_range   { struct pv_ast_dates * }
%type date         { struct pv_token }
%type clocks       { struct pv_list }
%type clock_range  { struct pv_ast_clocks * }
%type weekday      { struct pv_token }

declaration(D) ::= WINDOW(K) name(N) becomes alternatives(A) zone(Z) SEMI(E).
                                              { D = pv_build_window(b, K, N, A, pv_list_empty(), Z, E); }
declaration(D) ::= WINDOW(K) name(N) becomes alternatives(A) exception(X) zone(Z) SEMI(E).
                                              { D = pv_build_window(b, K, N, A, X, Z, E); }
declaration(D) ::= WINDOW(K) name(N) becomes alternatives(A) zone_given(Z) exception(X) SEMI(E).
                                              { D = pv_build_window(b, K, N, A, X, Z, E); }
exception(X) ::= EXCEPT(K) alternatives(A).   { X = pv_build_exception(b, K, A); }

alternatives(L) ::= alternative(A).                     { L = pv_list_of(A); }
alternatives(L) ::= alternatives(M) OR alternative(A).  { L = PV_APPEND(M, A); }

alternative(A) ::= IDENT(N).                        { A = pv_build_alternative_name(b, N); }
alternative(A) ::= LAST(N).                         { A = pv_build_alternative_name(b, N); }
alternative(A) ::= days(D).                         { A = pv_build_alternative(b, D, pv_list_empty(), pv_list_empty()); }
alternative(A) ::= days(D) clocks(C).               { A = pv_build_alternative(b, D, pv_list_empty(), C); }
alternative(A) ::= days(D) dates(T).                { A = pv_build_alternative(b, D, T, pv_list_empty()); }
alternative(A) ::= days(D) dates(T) clocks(C).      { A = pv_build_alternative(b, D, T, C); }
alternative(A) ::= dates(T).                        { A = pv_build_alternative(b, pv_list_empty(), T, pv_list_empty()); }
alternative(A) ::= dates(T) clocks(C).              { A = pv_build_alternative(b, pv_list_empty(), T, C); }
alternative(A) ::= clocks(C).                       { A = pv_build_alternative(b, pv_list_empty(), pv_list_empty(), C); }

days(L) ::= day(D).                                 { L = pv_list_of(D); }
days(L) ::= days(M) COMMA day(D).                   { L = PV_APPEND(M, D); }
day(D) ::= weekday(F).                              { D = pv_build_day(b, F, F); }
day(D) ::= weekday(F) DOTDOT weekday(T).            { D = pv_build_day(b, F, T); }
day(D) ::= ORDINAL(O) weekday(F).                   { D = pv_build_nth_day(b, O, F); }
day(D) ::= LAST(O) weekday(F).                      { D = pv_build_nth_day(b, O, F); }

dates(L) ::= date_range(D).                         { L = pv_list_of(D); }
dates(L) ::= dates(M) COMMA date_range(D).          { L = PV_APPEND(M, D); }
date_range(D) ::= date(F).                          { D = pv_build_dates(b, F, F); }
date_range(D) ::= date(F) DOTDOT date(T).           { D = pv_build_dates(b, F, T); }
date(D) ::= DATE(T).                                { D = T; }
date(D) ::= YEARLY(T).                              { D = T; }

clocks(L) ::= clock_range(C).                       { L = pv_list_of(C); }
clocks(L) ::= clocks(M) COMMA clock_range(C).       { L = PV_APPEND(M, C); }
clock_range(C) ::= CLOCK(F) DOTDOT CLOCK(T).        { C = pv_build_clocks(b, F, T); }

weekday(D) ::= MON(T).  { D = T; }
weekday(D) ::= TUE(T).  { D = T; }
weekday(D) ::= WED(T).  { D = T; }
weekday(D) ::= THU(T).  { D = T; }
weekday(D) ::= FRI(T).  { D = T; }
weekday(D) ::= SAT(T).  { D = T; }
weekday(D) ::= SUN(T).  { D = T; }

%type window_names { struct pv_list }
window_names(L) ::= IDENT(T).                        { L = pv_list_of(pv_build_ref(b, T)); }
window_names(L) ::= window_names(M) OR IDENT(T).     { L = PV_APPEND(M, pv_build_ref(b, T)); }

//////////////////////////////////////////////////////////////////////////////// condition, and expressions

%type expr     { struct pv_ast_expr * }
%type operand  { struct pv_ast_expr * }
%type members  { struct pv_ast_expr * }
%type path     { struct pv_ast_path * }
%type dotted   { struct pv_ast_path * }
%type literal  { struct pv_ast_literal * }

declaration(D) ::= CONDITION(K) name(N) becomes expr(X) SEMI(E).  { D = pv_build_condition(b, K, N, X, E); }

expr(X) ::= expr(L) OR(T) expr(R).            { X = pv_build_expr_join(b, PV_AST_OR, L, T, R); }
expr(X) ::= expr(L) AND(T) expr(R).           { X = pv_build_expr_join(b, PV_AST_AND, L, T, R); }
expr(X) ::= NOT(T) expr(R).                   { X = pv_build_expr_not(b, T, R); }
expr(X) ::= HAS(T) path(P).                   { X = pv_build_expr_has(b, T, P); }
expr(X) ::= operand(L) EQ(T) operand(R).      { X = pv_build_expr_compare(b, PV_EQ, L, T, R); }
expr(X) ::= operand(L) NE(T) operand(R).      { X = pv_build_expr_compare(b, PV_NE, L, T, R); }
expr(X) ::= operand(L) LT(T) operand(R).      { X = pv_build_expr_compare(b, PV_LT, L, T, R); }
expr(X) ::= operand(L) LE(T) operand(R).      { X = pv_build_expr_compare(b, PV_LE, L, T, R); }
expr(X) ::= operand(L) GT(T) operand(R).      { X = pv_build_expr_compare(b, PV_GT, L, T, R); }
expr(X) ::= operand(L) GE(T) operand(R).      { X = pv_build_expr_compare(b, PV_GE, L, T, R); }
expr(X) ::= operand(L) ASSIGN(T) operand(R).  { X = pv_build_expr_assign(b, L, T, R); }
expr(X) ::= operand(L) IN(T) members(R).      { X = pv_build_expr_binary(b, PV_AST_IN, L, T, R); }
expr(X) ::= members(L) OVERLAPS(T) members(R).  { X = pv_build_expr_binary(b, PV_AST_OVERLAPS, L, T, R); }
expr(X) ::= operand(L) LIKE(T) STRING(S).     { X = pv_build_expr_like(b, L, T, S); }
expr(X) ::= operand(R).                       { X = R; }

operand(X) ::= literal(L).                    { X = pv_build_expr_literal(b, L); }
operand(X) ::= members(M).                    { X = M; }
operand(X) ::= LPAREN(K) expr(R) RPAREN(E).   { X = pv_build_expr_parens(b, K, R, E); }

// What may hold members: an attribute, a name, a set.
members(X) ::= path(P).                       { X = pv_build_expr_path(b, P); }
members(X) ::= set(S).                        { X = pv_build_expr_set(b, S); }

path(P) ::= dotted(D).                        { P = D; }
path(P) ::= IDENT(T).                         { P = pv_build_path(b, T, T); }
path(P) ::= USER(T).                          { P = pv_build_path(b, T, T); }
path(P) ::= COMMAND(T).                       { P = pv_build_path(b, T, T); }
dotted(P) ::= IDENT(H) DOT IDENT(T).          { P = pv_build_path(b, H, T); }
dotted(P) ::= USER(H) DOT IDENT(T).           { P = pv_build_path(b, H, T); }
dotted(P) ::= SOURCE(H) DOT IDENT(T).         { P = pv_build_path(b, H, T); }

literal(L) ::= STRING(T).                     { L = pv_build_literal(b, PV_AST_LIT_STRING, T); }
literal(L) ::= TRUE(T).                       { L = pv_build_literal(b, PV_AST_LIT_BOOL, T); }
literal(L) ::= FALSE(T).                      { L = pv_build_literal(b, PV_AST_LIT_BOOL, T); }
literal(L) ::= INT(T).                        { L = pv_build_literal(b, PV_AST_LIT_INT, T); }
literal(L) ::= SIZE(T).                       { L = pv_build_literal(b, PV_AST_LIT_SIZE, T); }
literal(L) ::= DURATION(T).                   { L = pv_build_literal(b, PV_AST_LIT_DURATION, T); }
literal(L) ::= DATE(T).                       { L = pv_build_literal(b, PV_AST_LIT_DATE, T); }
literal(L) ::= CLOCK(T).                      { L = pv_build_literal(b, PV_AST_LIT_CLOCK, T); }
literal(L) ::= weekday(T).                    { L = pv_build_literal(b, PV_AST_LIT_WEEKDAY, T); }

//////////////////////////////////////////////////////////////////////////////// attribute

%type type     { struct pv_ast_type }
%type optional { struct pv_span }

declaration(D) ::= ATTRIBUTE(K) dotted(P) COLON type(T) optional(O) SEMI(E).
                                              { D = pv_build_attribute(b, K, P, T, O, E); }
type(T) ::= IDENT(W).                         { T = pv_build_type(b, W, W, W); }
type(T) ::= IDENT(W) LPAREN IDENT(O) RPAREN(E).  { T = pv_build_type(b, W, O, E); }
type(T) ::= SET(K) OF IDENT(W).               { T = pv_build_set_type(b, K, W); }
optional(S) ::= .                             { S = PV_NO_SPAN; }
optional(S) ::= OPTIONAL(K).                  { S = K.span; }

//////////////////////////////////////////////////////////////////////////////// command

%type command_items { struct pv_list }
%type command_item  { struct pv_ast_command_item * }
%type parameter     { struct pv_ast_command_item * }
%type elements      { struct pv_list }
%type element       { struct pv_ast_element * }

declaration(D) ::= COMMAND(K) name(N) LBRACE command_items(P) RBRACE(E).  { D = pv_build_command(b, K, N, P, E); }

command_items(L) ::= .                                 { L = pv_list_empty(); }
command_items(L) ::= command_items(M) command_item(I).  { L = pv_build_command_item(b, M, I); }
command_items(L) ::= command_items(M) error SYNC.       { L = M; }

command_item(I) ::= ARGUMENT(K) IDENT(N) parameter(P) SEMI(E).
                                                { I = pv_build_parameter(b, PV_AST_COMMAND_ARGUMENT, K, N, P, E); }
command_item(I) ::= OPTION(K) DASHED(N) SEMI(E).  { I = pv_build_option_flag(b, K, N, E); }
command_item(I) ::= OPTION(K) DASHED(N) parameter(P) SEMI(E).
                                                { I = pv_build_parameter(b, PV_AST_COMMAND_OPTION, K, N, P, E); }
command_item(I) ::= RUN(K) elements(L) SEMI(E).        { I = pv_build_run(b, K, L, E); }
command_item(I) ::= PROVIDER(K) IDENT(N) SEMI(E).      { I = pv_build_provider(b, K, N, E); }
command_item(I) ::= PACKAGES(K) SEMI(E).               { I = pv_build_command_flag(b, PV_AST_COMMAND_PACKAGES, K, E); }
command_item(I) ::= SOURCES(K) SEMI(E).                { I = pv_build_command_flag(b, PV_AST_COMMAND_SOURCES, K, E); }
command_item(I) ::= ACCOUNT(K) STRING(V) SEMI(E).      { I = pv_build_account(b, K, V, E); }
command_item(I) ::= ACCOUNT(K) IDENT(V) SEMI(E).       { I = pv_build_account(b, K, V, E); }
command_item(I) ::= TIMEOUT(K) DURATION(V) SEMI(E).    { I = pv_build_timeout(b, K, V, E); }
command_item(I) ::= ENVIRONMENT(K) STRING(N) STRING(V) SEMI(E).  { I = pv_build_environment(b, K, N, V, E); }

parameter(P) ::= COLON type(T).                 { P = pv_build_parameter_type(b, T); }
parameter(P) ::= COLON type(T) IN set(S).       { P = pv_build_parameter_set(b, T, S); }
parameter(P) ::= COLON type(T) IN IDENT(N).     { P = pv_build_parameter_name(b, T, N); }

elements(L) ::= element(X).                     { L = pv_list_of(X); }
elements(L) ::= elements(M) element(X).         { L = PV_APPEND(M, X); }
element(X) ::= STRING(T).                       { X = pv_build_element_string(b, T); }
element(X) ::= path(P).                         { X = pv_build_element_path(b, P); }

//////////////////////////////////////////////////////////////////////////////// rules

%type duty { struct pv_ast_duty * }

declaration(D) ::= ALLOW(K) scope SEMI(E).            { D = pv_build_rule(b, PV_AST_ALLOW, K, NULL, E); }
declaration(D) ::= DENY(K) scope SEMI(E).             { D = pv_build_rule(b, PV_AST_DENY, K, NULL, E); }
declaration(D) ::= REQUIRE(K) duty(O) FOR scope SEMI(E).  { D = pv_build_rule(b, PV_AST_REQUIRE, K, O, E); }
declaration(D) ::= DIRECT(K) subject(S) SEMI(E).         { D = pv_build_direct(b, K, S, E); }
declaration(D) ::= DIRECT(K) subject(S) TO commands SEMI(E).  { D = pv_build_direct_to(b, K, S, E); }

duty(D) ::= REASON(K).                        { D = pv_build_duty(b, PV_D_REASON, K); }
duty(D) ::= APPROVAL(K) BY subject(S).        { D = pv_build_duty_subject(b, PV_D_APPROVAL, K, S); }
duty(D) ::= TIMEOUT(K) DURATION(V).           { D = pv_build_duty_timeout(b, K, V); }
duty(D) ::= ACCOUNT(K) STRING(V).             { D = pv_build_duty_string(b, PV_D_ACCOUNT, K, V); }
duty(D) ::= WINDOW(K) window_names(W).        { D = pv_build_duty_window(b, K, W); }
duty(D) ::= NOTICE(K) STRING(V).              { D = pv_build_duty_string(b, PV_D_NOTICE, K, V); }
duty(D) ::= ALERT(K) subject(S).              { D = pv_build_duty_subject(b, PV_D_ALERT, K, S); }

%type names    { struct pv_list }
%type object   { struct pv_ast_object * }
%type objects  { struct pv_ast_object * }
%type one      { struct pv_ast_object * }
%type clauses  { struct pv_list }
%type clause   { struct pv_ast_clause * }
%type cmd      { struct pv_token }

// SUBJECT to COMMANDS [OBJECT] [except OBJECT] [with dependencies] [from SOURCES] {CLAUSE}
// One scope is under construction at a time, in the builder.
scope ::= subject(U) TO commands target origin clauses(L).  { pv_build_scope(b, U, L); }

commands ::= ANY(T).                          { pv_build_any_command(b, T); }
commands ::= names(L).                        { pv_build_commands(b, L); }
names(L) ::= cmd(T).                          { L = pv_list_of(pv_build_command_ref(b, T)); }
names(L) ::= names(M) COMMA cmd(T).           { L = PV_APPEND(M, pv_build_command_ref(b, T)); }
cmd(T) ::= IDENT(W).                          { T = W; }
cmd(T) ::= SOURCE(W).                         { T = W; }

target ::= .                                                   { pv_build_target(b, NULL, PV_NO_SPAN, NULL); }
target ::= object(O).                                          { pv_build_target(b, O, PV_NO_SPAN, NULL); }
target ::= EXCEPT(K) object(X).                                { pv_build_target(b, NULL, K.span, X); }
target ::= object(O) EXCEPT(K) object(X).                      { pv_build_target(b, O, K.span, X); }
target ::= WITH(W) DEPENDENCIES(D).                            { pv_build_with(b, NULL, PV_NO_SPAN, NULL, W, D); }
target ::= object(O) WITH(W) DEPENDENCIES(D).                  { pv_build_with(b, O, PV_NO_SPAN, NULL, W, D); }
target ::= EXCEPT(K) object(X) WITH(W) DEPENDENCIES(D).        { pv_build_with(b, NULL, K.span, X, W, D); }
target ::= object(O) EXCEPT(K) object(X) WITH(W) DEPENDENCIES(D).  { pv_build_with(b, O, K.span, X, W, D); }

object(O) ::= objects(L).                     { O = pv_build_objects_end(b, L); }
objects(O) ::= one(A).                        { O = A; }
// `install "git", "vim"` is told, with the braces, and taken.
objects(O) ::= objects(A) COMMA one(B).       { O = pv_build_objects_comma(b, A, B); }
one(O) ::= STRING(T).                         { O = pv_build_object(b, PV_AST_OBJECT_STRING, T, T); }
one(O) ::= LIKE(K) STRING(T).                 { O = pv_build_object(b, PV_AST_OBJECT_PATTERN, K, T); }
one(O) ::= IDENT(T).                          { O = pv_build_object(b, PV_AST_OBJECT_NAME, T, T); }
one(O) ::= WITH(T).                           { O = pv_build_object(b, PV_AST_OBJECT_NAME, T, T); }
one(O) ::= OWN(T).                            { O = pv_build_object(b, PV_AST_OBJECT_OWN, T, T); }
one(O) ::= set(S).                            { O = pv_build_object_set(b, S); }

origin ::= .                                  { pv_build_origin(b, PV_NO_SPAN, NULL); }
origin ::= FROM(K) from(F).                   { pv_build_origin(b, K.span, F); }

clauses(L) ::= .                              { L = pv_list_empty(); }
clauses(L) ::= clauses(M) clause(C).          { L = PV_APPEND(M, C); }
clause(C) ::= WHEN(K) expr(X).                { C = pv_build_clause_expr(b, PV_AST_WHEN, K, X); }
clause(C) ::= UNLESS(K) expr(X).              { C = pv_build_clause_expr(b, PV_AST_UNLESS, K, X); }
clause(C) ::= DURING(K) window_names(W).      { C = pv_build_clause_during(b, K, W); }
clause(C) ::= UNTIL(K) DATE(D).               { C = pv_build_clause_until(b, K, D); }
clause(C) ::= BECAUSE(K) STRING(S).           { C = pv_build_clause_because(b, K, S); }

//////////////////////////////////////////////////////////////////////////////// assert

%type quantifier { struct pv_token }
%type assertion  { struct pv_ast_assertion * }

declaration(D) ::= ASSERT(K) STRING(S) COLON assertion(A) SEMI(E).  { D = pv_build_assert(b, K, S, A, E); }

assertion(A) ::= quantifier(Q) ALLOW(K) scope.    { A = pv_build_assertion(b, Q, PV_AST_ALLOW, K, NULL); }
assertion(A) ::= quantifier(Q) DENY(K) scope.     { A = pv_build_assertion(b, Q, PV_AST_DENY, K, NULL); }
assertion(A) ::= quantifier(Q) REQUIRE(K) duty(O) FOR scope.
                                              { A = pv_build_assertion(b, Q, PV_AST_REQUIRE, K, O); }
quantifier(Q) ::= NEVER(T).      { Q = T; }
quantifier(Q) ::= ALWAYS(T).     { Q = T; }
quantifier(Q) ::= SOMETIMES(T).  { Q = T; }

//////////////////////////////////////////////////////////////////////////////// test

%type steps     { struct pv_list }
%type step      { struct pv_ast_step * }
%type givens    { struct pv_list }
%type given     { struct pv_ast_given * }
%type value     { struct pv_ast_literal * }
%type verdict   { struct pv_token }
%type strings   { struct pv_list }
%type expect    { struct pv_ast_expect * }
%type rule_ids  { struct pv_list }
%type duties    { struct pv_list }

declaration(D) ::= TEST(K) STRING(S) LBRACE steps(L) RBRACE(E).  { D = pv_build_test(b, K, S, L, E); }

steps(L) ::= .                                { L = pv_list_empty(); }
steps(L) ::= steps(M) step(S).                { L = pv_build_step(b, M, S); }
steps(L) ::= steps(M) error SYNC.             { L = M; }

step(S) ::= USER(K) STRING(U) SEMI(E).        { S = pv_build_step_user(b, K, U, pv_list_empty(), E); }
step(S) ::= USER(K) STRING(U) IN strings(L) SEMI(E).  { S = pv_build_step_user(b, K, U, L, E); }
step(S) ::= TIME(K) STRING(T) SEMI(E).        { S = pv_build_step_time(b, K, T, E); }
step(S) ::= GIVEN(K) givens(L) SEMI(E).       { S = pv_build_step_given(b, K, L, E); }
step(S) ::= EXPECT(K) expect(X) SEMI(E).      { S = pv_build_step_expect(b, K, X, E); }

givens(L) ::= given(G).                       { L = pv_list_of(G); }
givens(L) ::= givens(M) COMMA given(G).       { L = PV_APPEND(M, G); }
given(G) ::= path(P) becomes value(V).        { G = pv_build_given(b, P, V); }
value(V) ::= literal(L).                      { V = L; }
value(V) ::= LBRACE(K) RBRACE(E).             { V = pv_build_value_set(b, K, pv_list_empty(), E); }
value(V) ::= LBRACE(K) items(L) RBRACE(E).    { V = pv_build_value_set(b, K, L, E); }
value(V) ::= LBRACE(K) items(L) COMMA RBRACE(E).  { V = pv_build_value_set(b, K, L, E); }

strings(L) ::= STRING(T).                     { L = pv_list_of(pv_build_strings(b, T)); }
strings(L) ::= strings(M) COMMA STRING(T).    { L = PV_APPEND(M, pv_build_strings(b, T)); }

// expect VERDICT COMMAND ["object", ...] [from SOURCE] [with PATH = LITERAL, ...] [by ID] [requiring DUTY] [because "text"]
expect(X) ::= verdict(V) cmd(C).              { X = pv_build_expect(b, V, C, pv_list_empty()); }
expect(X) ::= verdict(V) cmd(C) strings(L).   { X = pv_build_expect(b, V, C, L); }
expect(X) ::= expecting(E).                   { X = E; }

%type expecting { struct pv_ast_expect * }
expecting(X) ::= expect(E) FROM(K) IDENT(S).        { X = pv_build_expect_from(b, E, K, S); }
expecting(X) ::= expect(E) WITH(K) givens(L).       { X = pv_build_expect_with(b, E, K, L); }
expecting(X) ::= expect(E) BY(K) rule_ids(L).       { X = pv_build_expect_by(b, E, K, L); }
expecting(X) ::= expect(E) REQUIRING(K) duties(L).  { X = pv_build_expect_requiring(b, E, K, L); }
expecting(X) ::= expect(E) BECAUSE(K) strings(L).   { X = pv_build_expect_because(b, E, K, L); }

verdict(V) ::= ALLOW(T).   { V = T; }
verdict(V) ::= DENY(T).    { V = T; }
verdict(V) ::= DIRECT(T).  { V = T; }

rule_ids(L) ::= rule_id(T).                   { L = pv_list_of(pv_build_ref(b, T)); }
rule_ids(L) ::= rule_ids(M) COMMA rule_id(T).  { L = PV_APPEND(M, pv_build_ref(b, T)); }
%type rule_id { struct pv_token }
rule_id(T) ::= IDENT(W).   { T = W; }
rule_id(T) ::= STRING(W).  { T = W; }

duties(L) ::= duty(D).                        { L = pv_list_of(D); }
duties(L) ::= duties(M) COMMA duty(D).        { L = PV_APPEND(M, D); }

//////////////////////////////////////////////////////////////////////////////// Questions to the parser

%code {
/* States that a simulated parse pushes beyond the real stack: a few tokens, each with a few empty rules before it. */
#define MAX_AHEAD 64

/* The action for a terminal in a state. With `exact`, a contextual word is only itself and never a name. */
static unsigned action_for(unsigned state, unsigned token, bool exact)
{
    if (state > YY_MAX_SHIFT)
        return state;
    if (exact && yy_lookahead[yy_shift_ofst[state] + token] != token)
        return yy_default[state];
    return yy_find_shift_action((YYCODETYPE)token, (YYACTIONTYPE)state);
}

static bool accepts(const yyParser *parser, const unsigned tokens[], int n_tokens, bool exact)
{
    unsigned ahead[MAX_AHEAD];
    int n_ahead = 0;
    const yyStackEntry *top = parser->yytos;

    for (int i = 0; i < n_tokens;) {
        unsigned state = n_ahead ? ahead[n_ahead - 1] : top->stateno;
        unsigned action = action_for(state, tokens[i], exact && i == n_tokens - 1);
        if (action <= YY_MAX_SHIFTREDUCE) {
            if (n_ahead == MAX_AHEAD)
                return false;
            ahead[n_ahead++] = action > YY_MAX_SHIFT ? action + (YY_MIN_REDUCE - YY_MIN_SHIFTREDUCE) : action;
            i++;
            continue;
        }
        if (action < YY_MIN_REDUCE)
            return action == YY_ACCEPT_ACTION && i == n_tokens - 1;
        unsigned rule = action - YY_MIN_REDUCE;
        for (int size = -yyRuleInfoNRhs[rule]; size > 0; size--) {
            if (n_ahead)
                n_ahead--;
            else
                top--;
        }
        if (n_ahead == MAX_AHEAD)
            return false;
        state = n_ahead ? ahead[n_ahead - 1] : top->stateno;
        ahead[n_ahead++] = yy_find_reduce_action((YYACTIONTYPE)state, yyRuleInfoLhs[rule]);
    }
    return true;
}

size_t pv_grammar_size(void)
{
    return sizeof(yyParser);
}

void pv_grammar_start(void *parser)
{
    pv_grammarInit(parser);
}

bool pv_grammar_accepts(const void *parser, const unsigned tokens[], int n_tokens)
{
    /* Mostly the one token is shifted at once. */
    unsigned state = ((const yyParser *)parser)->yytos->stateno;
    if (n_tokens == 1 && state <= YY_MAX_SHIFT && yy_lookahead[yy_shift_ofst[state] + tokens[0]] == tokens[0] &&
        yy_action[yy_shift_ofst[state] + tokens[0]] <= YY_MAX_SHIFTREDUCE)
        return true;
    return accepts(parser, tokens, n_tokens, false);
}

bool pv_grammar_expects(const void *parser, unsigned token)
{
    return accepts(parser, &token, 1, true);
}
}
