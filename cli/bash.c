/* The bash completion script: it finds the command part of the line and asks the hidden command
 * `complete`. */
#include <string.h>

#include "cli/args.h"
#include "cli/help.h"
#include "kvsh/buf.h"

static void add_valued(void *arg, const struct opt *opt, const struct opt *table, size_t offset)
{
    struct buf *out = arg;

    (void)table;
    (void)offset;
    if (opt->type == OPT_TYPE_FLAG || opt->flags & OPT_POSITIONAL)
        return;
    buf_addf(out, "%s-%s|--%s", out->len ? "|" : "", opt->name, opt->name);
}

/*
 * The line up to the cursor is cut at blanks. The program's own options (with their values) go to
 * the program as they are, so that the names offered are those of the store that was asked for; the
 * rest is one argument for `complete`. The blank before it keeps it from being read as an option.
 */
static const char script[] =
    "_PROGRAM()\n"
    "{\n"
    "    local line=${COMP_LINE:0:COMP_POINT} head=() rest i=1 n word piece typed\n"
    "    local -a words\n"
    "\n"
    "    read -ra words <<<\"$line\"\n"
    "    [[ $line == *[[:blank:]] ]] && words+=('')\n"
    "    n=${#words[@]}\n"
    "    while ((i < n - 1)) && [[ ${words[i]} == -* ]]; do\n"
    "        case ${words[i]} in\n"
    "        VALUED)\n"
    "            ((i + 1 < n - 1)) || break\n"
    "            head+=(\"${words[i]}\" \"${words[i + 1]}\")\n"
    "            ((i += 2))\n"
    "            ;;\n"
    "        *)\n"
    "            head+=(\"${words[i]}\")\n"
    "            ((i += 1))\n"
    "            ;;\n"
    "        esac\n"
    "    done\n"
    "    rest=${words[*]:i}\n"
    "    typed=${words[n - 1]#[\\\"\\']}\n"
    "    piece=${COMP_WORDS[COMP_CWORD]#[\\\"\\']}\n"
    "    [[ $piece == [:=]* ]] && piece=${piece:1}\n"
    "    COMPREPLY=()\n"
    "    while IFS=$'\\t' read -r word _; do\n"
    "        word=${word#\"${typed%\"$piece\"}\"}\n"
    "        [[ $word == */ ]] && compopt -o nospace 2>/dev/null\n"
    "        COMPREPLY+=(\"$(printf '%q' \"$word\")\")\n"
    "    done < <(\"${words[0]/#\\~\\//$HOME/}\" \"${head[@]}\" complete \" $rest\" 2>/dev/null)\n"
    "}\n"
    "complete -F _PROGRAM PROGRAM\n";

/* Appends the script with its two marks replaced. */
static void add_script(struct buf *out, const char *program, const char *valued)
{
    const struct {
        const char *mark, *text;
    } marks[] = {{"PROGRAM", program}, {"VALUED", valued}};

    for (const char *p = script; *p;) {
        size_t m = 0;

        while (m < 2 && strncmp(p, marks[m].mark, strlen(marks[m].mark)) != 0)
            m++;
        if (m < 2)
            buf_adds(out, marks[m].text);
        else
            buf_addc(out, *p);
        p += m < 2 ? strlen(marks[m].mark) : 1;
    }
}

void help_bash(struct buf *out, const struct cmd *program)
{
    struct buf valued;

    buf_init(&valued, 0);
    opt_each(program->options, 0, add_valued, &valued);
    buf_addf(out, "# bash completion for %s; made from its table of commands\n", program->name);
    add_script(out, program->name, valued.len ? valued.data : "''");
    buf_release(&valued);
}
