/* The envelope of an exported message as one line of JSON, and back.
 *
 *   id, bytes; file (Maildir: the name of the file); reverse_path, envid, flags ["smtputf8", "ret_full",
 *   "ret_hdrs", "tls", "spf_pass"], body "7bit" or "8bitmime", arrival (RFC 3339), client {address, name,
 * helo}, message_id; recipients: [{forward_path, orcpt, domain, notify ["never", "success", "failure",
 * "delay"], state, attempts, not_before (RFC 3339, or absent), last_reply}]
 *
 * A string that is not UTF-8 stands as {"hex": "..."}, so that nothing is lost.
 */
#ifndef DAEMON_CLI_SPOOL_ENVELOPE_H
#define DAEMON_CLI_SPOOL_ENVELOPE_H

#include "daemon/cli/spool_tool.h"

/* NULL: no memory. file may be NULL. */
json_t *envelope_json(const struct store_entry *entry, const struct tool_domains *domains, const char *file);

/* ERR_SYNTAX, ERR_MEMORY. The domains' numbers are those of `domains`, 0 when one is not there; the strings
 * are in the arena. */
nodiscard int envelope_parse(const json_t *json, const struct tool_domains *domains, struct arena *arena,
			     struct store_entry *ret_entry);

#endif
