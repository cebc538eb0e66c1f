// Values under the pointer. The page says everything else without this.
'use strict';
for (const plot of document.querySelectorAll('.plot[data-readout]')) {
  if (!plot.dataset.readout) continue;
  const data = JSON.parse(plot.dataset.readout);
  const drawing = plot.querySelector('svg');
  const cursor = plot.appendChild(document.createElement('div'));
  const tip = plot.appendChild(document.createElement('div'));
  cursor.className = 'cursor';
  tip.className = 'tip';
  const hide = () => { cursor.hidden = tip.hidden = true; };
  const show = (event) => {
    const box = drawing.getBoundingClientRect();
    const outer = plot.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    if (share < 0 || share > 1) { hide(); return; }
    const place = Math.round(share * (data.x.length - 1));
    tip.replaceChildren('step ' + data.x[place]);
    for (const row of data.rows) {
      if (!row.y[place]) continue;
      const line = document.createElement('div');
      const chip = document.createElement('i');
      const value = document.createElement('b');
      chip.className = 'chip ' + row.class;
      line.className = row.class.split(' ')[0];
      value.textContent = row.y[place];
      line.append(chip, row.name, value);
      tip.append(line);
    }
    cursor.hidden = tip.hidden = false;
    const left = box.left - outer.left + share * box.width;
    cursor.style.left = left + 'px';
    const width = tip.offsetWidth;
    tip.style.left = (left + width + 14 < outer.width ? left + 10 : Math.max(0, left - width - 10)) + 'px';
  };
  hide();
  plot.addEventListener('pointermove', show);
  plot.addEventListener('pointerdown', show);
  plot.addEventListener('pointerleave', hide);
}
