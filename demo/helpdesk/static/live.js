// Shows the stream of /events. Each event replaces the numbers on the page.
const show = (id, text) => { document.getElementById(id).textContent = text; };
const stream = new EventSource('/events');
stream.addEventListener('open', () => show('connection', 'open'));
stream.addEventListener('error', () => show('connection', stream.readyState === EventSource.CLOSED ? 'closed' : 'trying again'));
stream.addEventListener('tickets', (event) => show('open', JSON.parse(event.data).open));
