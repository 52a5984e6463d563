() => {
  const parse = c => { const m = c.match(/[\d.]+/g).map(Number); return m.length > 3 ? m : [...m, 1] };
  const hex = c => '#' + c.slice(0, 3).map(v => v.toString(16).padStart(2, '0')).join('').toUpperCase();
  const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
                       return .2126 * r + .7152 * g + .0722 * b };
  const behind = e => { for (; e; e = e.parentElement) {
                          const c = parse(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c }
                        return [255, 255, 255, 1] };
  const shown = e => e.getClientRects().length && getComputedStyle(e).fontSize !== '1px';
  const texts = [], colours = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const words = walk.currentNode.textContent.trim(), e = walk.currentNode.parentElement;
    if (!words || !shown(e)) continue;
    const ink = parse(getComputedStyle(e).color), ground = behind(e);
    const [high, low] = [light(ink), light(ground)].sort((a, b) => b - a);
    texts.push([(high + .05) / (low + .05), `${hex(ink)} on ${hex(ground)}: ${words.slice(0, 40)}`]);
    colours.add('text ' + hex(ink));
  }
  for (const e of document.querySelectorAll('body, body *')) {
    const s = getComputedStyle(e), name = ` ${e.tagName}.${e.className}`;
    if (!e.getClientRects().length) continue;
    if (parse(s.backgroundColor)[3]) colours.add('fill ' + hex(parse(s.backgroundColor)) + name);
    for (const side of ['Top', 'Right', 'Bottom', 'Left']) {
      const c = parse(s[`border${side}Color`]);
      if (parseFloat(s[`border${side}Width`]) && c[3]) colours.add('border ' + hex(c) + name);
    }
    if (s.textDecorationLine === 'underline') colours.add('line ' + hex(parse(s.textDecorationColor)) + name);
    if (e.tagName === 'IMG') colours.add('alt ' + hex(parse(s.color)) + name);
  }
  return [texts, [...colours]];
}
