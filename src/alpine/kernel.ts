// What a kernel image and a modloop tell of themselves without being run: version, and whether the file is whole. Called by release.
import { gunzipSync } from 'node:zlib'
import { DecodeError } from '../boot/error.ts'

const maxKernelBytes = 256 * 1024 * 1024

/**
 * `6.12.31-0-lts`, from an x86 bzImage's header or from the banner in another image, gzip-packed or not; undefined when it does not tell (EFI
 * images that unpack themselves). Throws DecodeError `kernel-header` for a bzImage whose header leads nowhere.
 * (Linux Documentation/arch/x86/boot.rst: magic HdrS at 0x202, kernel_version at 0x20e, from 0x200 on)
 */
export function readKernelVersion(image: Uint8Array): string | undefined {
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.byteLength)
  if (bytes.length > 0x264 && bytes.toString('latin1', 0x202, 0x206) === 'HdrS') {
    const offset = bytes.readUInt16LE(0x20e)
    return offset ? firstWord(bytes, 0x200 + offset) : undefined
  }
  return findBanner(bytes[0] === 0x1f && bytes[1] === 0x8b ? unpack(bytes) : bytes)
}

function firstWord(bytes: Buffer, at: number): string {
  const [, version] = /^([0-9][A-Za-z0-9._+-]{0,127})[ \0]/.exec(bytes.toString('latin1', at, at + 160)) ?? []
  if (!version) throw new DecodeError('kernel-header', 'the kernel is cut or damaged: its header names no version')
  return version
}

function findBanner(bytes: Buffer): string | undefined {
  const at = bytes.indexOf('Linux version ')
  return at < 0 ? undefined : /^Linux version ([0-9][A-Za-z0-9._+-]{0,127}) /.exec(bytes.toString('latin1', at, at + 160))?.[1]
}

function unpack(bytes: Buffer): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: maxKernelBytes })
  } catch (error) {
    throw new DecodeError('kernel-damaged', `the kernel cannot be unpacked: ${(error as Error).message}`, { cause: error })
  }
}

/**
 * Whether a modloop is a squashfs image and whole: throws DecodeError `modloop-damaged` when it is none, or longer by its own word than the file is.
 * `head` is its first 96 bytes. (Linux fs/squashfs/squashfs_fs.h: magic at 0, version at 28, bytes_used at 40)
 */
export function checkSquashfs(head: Uint8Array, sizeBytes: number): void {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  if (head.length < 96 || view.getUint32(0, true) !== 0x73717368 || view.getUint16(28, true) !== 4)
    throw new DecodeError('modloop-damaged', 'the modloop is no squashfs image')
  const usedBytes = view.getBigUint64(40, true)
  if (usedBytes > BigInt(sizeBytes)) throw new DecodeError('modloop-damaged', `the modloop is cut: it has ${sizeBytes} of ${usedBytes} bytes`)
}
