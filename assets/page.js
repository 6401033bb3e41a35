// Keeps the list of stations fresh: at each event the rows are fetched again, at most four times a second. Rendering is the server's.
const rows = document.getElementById('stations')
const live = document.getElementById('live')
const ages = [
  [86_400, 'day'],
  [3_600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
]
const words = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })

function tellAges() {
  for (const time of rows.querySelectorAll('time')) {
    const seconds = Math.round((Date.parse(time.dateTime) - Date.now()) / 1000)
    const [size, unit] = ages.find(([least]) => Math.abs(seconds) >= least) ?? ages.at(-1)
    time.textContent = words.format(Math.round(seconds / size), unit)
  }
}

async function refresh() {
  const answer = await fetch('/?part=stations')
  if (!answer.ok) return
  rows.innerHTML = await answer.text()
  tellAges()
}

let waiting
function refreshSoon() {
  if (waiting) return
  waiting = setTimeout(() => {
    waiting = undefined
    refresh().catch(() => {})
  }, 250)
}

const events = new EventSource('/api/v1/events')
events.onopen = () => {
  live.textContent = 'live'
  refreshSoon()
}
events.onerror = () => {
  live.textContent = 'not live'
}
events.onmessage = refreshSoon
setInterval(tellAges, 5000)
tellAges()
