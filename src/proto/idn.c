#include "proto/idn.h"

#include <idn2.h>
#include <stdio.h>
#include <string.h>

bool idn_needed(struct slice name)
{
	for (size_t i = 0; i < name.size; i++)
		if ((unsigned char)name.data[i] >= 0x80)
			return true;
	return false;
}

static int convert(const char *name, char ret_name[IDN_NAME_SIZE])
{
	char *ascii = NULL;
	int error = idn2_to_ascii_8z(name, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);

	if (error == IDN2_MALLOC)
		return ERR_MEMORY;
	if (error != IDN2_OK)
		return ERR_SYNTAX;
	int size = snprintf(ret_name, IDN_NAME_SIZE, "%s", ascii);
	idn2_free(ascii);
	return size > 0 && size < IDN_NAME_SIZE ? 0 : ERR_SYNTAX;
}

int idn_to_ascii(struct slice name, char ret_name[IDN_NAME_SIZE])
{
	char text[4 * IDN_NAME_SIZE]; /* characters beyond ASCII have up to four bytes */

	if (name.size == 0 || name.size >= sizeof(text) || memchr(name.data, '\0', name.size) != NULL)
		return ERR_SYNTAX;
	(void)snprintf(text, sizeof(text), "%.*s", SLICE_ARG(name));
	if (idn_needed(name))
		return convert(text, ret_name);
	if (name.size >= IDN_NAME_SIZE)
		return ERR_SYNTAX;
	memcpy(ret_name, text, name.size + 1);
	return 0;
}
