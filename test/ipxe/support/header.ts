// Option headers of our own writing, in the form that iPXE's have. No text of iPXE's.

const tail = (header: string): string => `\n#include <config/named.h>\n#include <config/local/${header}>\n`

export const generalHeader = `#ifndef CONFIG_GENERAL_H
#define CONFIG_GENERAL_H

#include <config/defaults.h>

/* Roads that a packet may take */
#define NET_ROAD	/* The plain road */
//#define NET_TUNNEL	/* The long tunnel */
#define DOWNLOAD_SAFE	/* The guarded road */

/* Only where there are files */
#if defined ( PLATFORM_efi )
  #define DOWNLOAD_FILE	/* From a file */
#endif

#if ! defined ( SHIP_NULL )
  #define SHIP_CMD		/* Ships */
#endif

#if defined ( __i386__ ) || defined ( __x86_64__ )
  //#define CPU_CMD	/* The processor's own tale */
#endif

/* Not in old builds */
#if defined ( PLATFORM_pcbios )
  #undef DOWNLOAD_SAFE
#else
  #define MODERN_WAY
#endif

/** How long to wait, in tenths.
 *
 * Zero does not wait.
 */
#define WAIT_TIMEOUT	20
#define LONG_TIMEOUT	( 2 * WAIT_TIMEOUT )
//#define WAIT_TIMEOUT	30	/* as the old rule says */

#define LONG_NOTE	/* A note that goes on
			 * for two lines */
#define FUNCTION(x) (x)
${tail('general.h')}
#endif /* CONFIG_GENERAL_H */
`

export const brandingHeader = `#ifndef CONFIG_BRANDING_H
#define CONFIG_BRANDING_H
/*
 * Names
 */
#define MAKER_NAME ""
#define MAKER_URI "http://maker.example/%08x"
#define KEYS	us	/* Default keys */
//#define KEYS	free	/* Any keys */
${tail('branding.h')}
#endif
`

/** Has no local copy, so it cannot be changed from outside. */
export const namedHeader = '#ifndef CONFIG_NAMED_H\n#define CONFIG_NAMED_H\n#define INNER 1\n#endif\n'

export const headers = { 'general.h': generalHeader, 'branding.h': brandingHeader, 'named.h': namedHeader }
