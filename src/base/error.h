/* The error values that functions of every layer return: 0 is ok, a negative value is an error.
 *
 * A function's header says which of them it can return. ret_ parameters are untouched on failure.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#define nodiscard __attribute__((warn_unused_result))

enum error {
	ERR_NONE = 0,
	ERR_MEMORY = -1,   /* the allocator said no */
	ERR_LIMIT = -2,	   /* a named limit was reached */
	ERR_SYNTAX = -3,   /* bytes that are not what the grammar allows */
	ERR_CORRUPT = -4,  /* stored bytes whose checksum or structure is wrong */
	ERR_MISSING = -5,  /* there is no such thing */
	ERR_EXISTS = -6,   /* there is already such a thing */
	ERR_STATE = -7,	   /* not possible in the present state (the caller can wait, or change it) */
	ERR_IO = -8,	   /* the system refused an operation; the log says which */
	ERR_VERSION = -9,  /* written by a newer version of this program */
	ERR_FOREIGN = -10, /* not written by this program */
	ERR_BUSY = -11,	   /* somebody else has it (a lock, a port) */
};

/* A short English name: "out of memory". Static storage. */
const char *error_name(int error);

#endif
