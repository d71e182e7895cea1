/* Internationalised domain names (RFC 5890 to 5893): to the form that the DNS and all our records use.
 */
#ifndef PROTO_IDN_H
#define PROTO_IDN_H

#include "base/error.h"
#include "base/slice.h"

enum { IDN_NAME_SIZE = 256 }; /* of a name with its end */

/* "Müller.example" gives "xn--mller-kva.example"; a name in ASCII stays as it is. By UTS 46, without its
 * transitional rules ("ß" stays itself). ERR_SYNTAX: no name, or too long; ERR_MEMORY. */
nodiscard int idn_to_ascii(struct slice name, char ret_name[IDN_NAME_SIZE]);
bool idn_needed(struct slice name); /* has it a byte beyond ASCII? */

#endif
