// Tables as PXE Pilot prints them, for scripts that read them. Used by the commands below `pilot`.

const wrapAt = 30

/** The table of the original: rules of `+---+`, headers in capitals and centred, cells on the left. `wrap`: columns are no wider than 30. */
export function formatPilotTable(header: readonly string[], rows: readonly (readonly string[])[], { wrap = false } = {}): string {
  const lines = rows.map((row) => row.map((cell) => (wrap ? wrapText(cell) : [cell])))
  const widths = header.map((title, column) =>
    Math.max(title.length, ...lines.map((row) => Math.max(...(row[column] ?? ['']).map((line) => line.length)))),
  )
  const rule = `+${widths.map((width) => '-'.repeat(width + 2)).join('+')}+`
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const body = lines.flatMap((row) =>
    Array.from({ length: Math.max(...row.map((cell) => cell.length)) }, (_, at) =>
      line(row.map((cell, column) => (cell[at] ?? '').padEnd(widths[column] ?? 0))),
    ),
  )
  return [
    rule,
    line(header.map((title, column) => centre(title.toUpperCase(), widths[column] ?? 0))),
    rule,
    ...body,
    ...(body.length ? [rule] : []),
  ].join('\n')
}

function centre(text: string, width: number): string {
  const left = Math.floor((width - text.length) / 2)
  return text.padStart(text.length + left).padEnd(width)
}

/** At blanks; a longer word stands for itself. */
function wrapText(text: string): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && `${last} ${word}`.length <= wrapAt) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
