'use strict';
const all = (root, selector) => [...root.querySelectorAll(selector)];
const read = (root) => JSON.parse(root.querySelector('script[type="application/json"]').textContent);
const named = (root, kind, name) =>
  all(root, '[data-' + kind + ']').filter((each) => each.getAttribute('data-' + kind) === name);
const shownIn = (element) => {
  const box = element.closest('.scroll, pre');
  if (!box) return;
  const a = element.getBoundingClientRect(), b = box.getBoundingClientRect();
  if (a.left < b.left || a.right > b.right) box.scrollLeft += a.left - b.left - b.width / 3;
  if (a.top < b.top || a.bottom > b.bottom) box.scrollTop += a.top - b.top - b.height / 3;
};

const open = () => {
  const place = document.getElementById(location.hash.slice(1));
  if (!(place instanceof HTMLDetailsElement)) return;
  place.open = true;
  place.scrollIntoView();
  place.querySelector('summary').focus();
};
const visit = (place) => {  // a frame of a notebook resolves links against the page around it
  location.hash = place;
  const found = document.getElementById(place.slice(1));
  if (found instanceof HTMLDetailsElement) open();
  else if (found) found.scrollIntoView();
};

// Drawings: one stop for Tab; arrows go to the nearest thing in their direction.
for (const picture of all(document, '.picture')) {
  const info = picture.parentElement.querySelector('.info');
  const things = all(picture, 'g.tensor, g.leg, g.strip').filter((g) => g.querySelector('title'));
  const hint = info ? info.textContent : '';
  let at = null;
  const choose = (thing) => {
    if (at) at.classList.remove('chosen');
    at = thing;
    if (!thing) return;
    thing.classList.add('chosen');
    if (info) info.textContent = thing.querySelector('title').textContent;
    shownIn(thing);
  };
  const middle = (thing) => {
    const box = thing.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  };
  for (const link of all(picture, 'a')) link.setAttribute('tabindex', '-1');
  const ways = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
  picture.addEventListener('keydown', (event) => {
    const link = at && at.closest('a');
    if (event.key === 'Enter' && link) { visit(link.getAttribute('href')); return; }
    if (event.key === 'Escape') { choose(null); if (info) info.textContent = hint; return; }
    const way = ways[event.key];
    if (!way || !things.length) return;
    event.preventDefault();
    if (!at) { choose(things[0]); return; }
    const [x, y] = middle(at);
    let best = null, least = Infinity;
    for (const thing of things) {
      if (thing === at) continue;
      const [u, v] = middle(thing);
      const forward = (u - x) * way[0] + (v - y) * way[1];
      const sideways = Math.abs((u - x) * way[1]) + Math.abs((v - y) * way[0]);
      if (forward > 2 && forward + 2.2 * sideways < least) {
        best = thing;
        least = forward + 2.2 * sideways;
      }
    }
    if (best) choose(best);
  });
  for (const thing of things) {
    thing.addEventListener('click', () => choose(thing));
    thing.addEventListener('pointerenter', () => {
      if (info) info.textContent = thing.querySelector('title').textContent;
    });
  }
}

// Contractions: a slider, two buttons and Play go through the steps, in all pictures at once.
for (const part of all(document, '.contraction')) {
  const {steps, leaves, folded} = read(part), slider = part.querySelector('input[type=range]');
  const say = part.querySelector('.say'), play = part.querySelector('.play');
  const network = part.querySelector('.picture'), tree = part.querySelector('.tree');
  const code = part.querySelector('pre.code'), before = say.textContent;
  let timer = null;
  const below = (runs, found) => {
    for (const [first, last] of runs)
      for (let k = first; k <= last; k++) found.add(leaves[k]);
    return found;
  };
  const clear = () => {
    const marks = ['first', 'second', 'spent', 'ending', 'gone', 'rung', 'now'];
    for (const mark of marks) for (const each of all(part, '.' + mark)) each.classList.remove(mark);
  };
  const mark = (root, kind, names, name, inside = folded) => {
    if (!root) return;
    for (const each of all(root, '[data-' + kind + ']')) {
      const own = each.getAttribute('data-' + kind), inner = inside[own] || [own];
      const has = (member) => names.has(member);
      if (name === 'spent' ? inner.every(has) : inner.some(has)) each.classList.add(name);
    }
  };
  const go = (number) => {
    slider.value = number;
    clear();
    slider.setAttribute('aria-valuetext', number ? 'step ' + number : 'the whole network');
    if (!number) { say.textContent = before; return; }
    const step = steps[number - 1];
    const first = below(step.left, new Set()), second = below(step.right, new Set());
    const gone = new Set(), spent = new Set();
    for (let k = 0; k < number - 1; k++) for (const leg of steps[k].ends) gone.add(leg);
    for (const leg of step.ends) gone.delete(leg);
    for (let k = 0; k < number - 1; k++) {
      below(steps[k].left, spent);
      below(steps[k].right, spent);
    }
    for (const name of [...first, ...second]) spent.delete(name);
    mark(network, 'tensor', first, 'first');
    mark(network, 'tensor', second, 'second');
    mark(network, 'tensor', spent, 'spent');
    mark(network, 'strip', new Set([...first].map((n) => 'input ' + n.split('@')[0])), 'first');
    mark(network, 'strip', new Set([...second].map((n) => 'input ' + n.split('@')[0])), 'second');
    mark(network, 'leg', new Set(step.ends), 'ending');
    mark(network, 'leg', gone, 'gone');
    const own = new Set(['step ' + step.rung, 'bar ' + step.rung]);
    mark(tree, 'tensor', own, 'rung', {});
    mark(tree, 'leg', own, 'rung', {});
    for (const row of all(part, 'tr[data-row]'))
      if (row.getAttribute('data-row') === step.row) { row.classList.add('now'); shownIn(row); }
    for (const bar of all(part, '[data-step]')) {
      const own = Number(bar.getAttribute('data-step'));
      const first = Number(bar.getAttribute('data-first') || own);
      const last = Number(bar.getAttribute('data-last') || own);
      if (step.memory.some((k) => first <= k && k <= last)) bar.classList.add('now');
    }
    if (code && step.lines) {
      const lines = all(code, 'span.line');
      for (let k = step.lines[0]; k <= step.lines[1]; k++) lines[k].classList.add('now');
      shownIn(lines[step.lines[0]]);
    }
    say.textContent = step.words;
    const rung = named(tree, 'tensor', 'step ' + step.rung)[0];
    if (rung) shownIn(rung);
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = 'Play';
  };
  slider.addEventListener('input', () => { stop(); go(Number(slider.value)); });
  part.querySelector('.back').addEventListener('click', () => {
    stop();
    go(Math.max(0, Number(slider.value) - 1));
  });
  part.querySelector('.forth').addEventListener('click', () => {
    stop();
    go(Math.min(steps.length, Number(slider.value) + 1));
  });
  play.addEventListener('click', () => {
    if (timer) { stop(); return; }
    if (Number(slider.value) === steps.length) go(0);
    play.textContent = 'Pause';
    timer = setInterval(() => {
      const next = Number(slider.value) + 1;
      go(next);
      if (next >= steps.length) stop();
    }, 1400);
  });
}

// Bonds: a bond and a rank move the error, the numbers stored and the predicted time.
for (const part of all(document, '.bonds')) {
  const bonds = read(part), choice = part.querySelector('select');
  const slider = part.querySelector('input[type=range]'), say = part.querySelector('.say');
  const pictures = all(part, 'figure[data-bond]');
  const go = () => {
    const bond = bonds[choice.value], rank = Number(slider.value);
    slider.max = bond.size;
    for (const each of pictures) each.hidden = each.getAttribute('data-bond') !== choice.value;
    const at = bond.ranks[rank];
    say.textContent = at;
    slider.setAttribute('aria-valuetext', 'rank ' + rank + ' of ' + bond.size);
    const picture = pictures.find((each) => !each.hidden);
    const cut = picture && picture.querySelector('[data-x0]');
    if (cut) {
      const x = Number(cut.getAttribute('data-x0')) + Number(cut.getAttribute('data-dx')) * rank;
      cut.setAttribute('transform', 'translate(' + x + ' 0)');
      cut.querySelector('text').textContent = 'rank ' + rank;
    }
  };
  choice.addEventListener('change', () => {
    slider.max = bonds[choice.value].size;
    slider.value = slider.max;
    go();
  });
  slider.addEventListener('input', go);
  go();
}

// Source: arrows go from declaration to declaration; what is generated from each lights up.
for (const part of all(document, '.sources')) {
  const [spec, code] = all(part, 'pre.code'), lines = all(spec, 'span[data-made]');
  let at = -1;
  const choose = (number) => {
    for (const each of all(part, '.now')) each.classList.remove('now');
    at = Math.max(0, Math.min(lines.length - 1, number));
    const line = lines[at];
    if (!line) return;
    line.classList.add('now');
    shownIn(line);
    const made = all(code, 'span.line');
    const numbers = line.getAttribute('data-made').split(' ').filter(Boolean).map(Number);
    for (const k of numbers) made[k].classList.add('now');
    const forward = made.findIndex((each) => each.textContent.includes('def forward'));
    const read = numbers.find((k) => k > forward);
    if (numbers.length) shownIn(made[read === undefined ? numbers[0] : read]);
  };
  spec.addEventListener('keydown', (event) => {
    const way = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (!way) return;
    event.preventDefault();
    choose(at + way);
  });
  lines.forEach((line, number) => line.addEventListener('click', () => choose(number)));
}

// Parts of a model: which number the tree map shows; links open what they lead to.
for (const part of all(document, '.parts')) {
  const choice = part.querySelector('select'), maps = all(part, 'figure[data-map]');
  const go = () => {
    for (const each of maps) each.hidden = each.getAttribute('data-map') !== choice.value;
  };
  choice.addEventListener('change', go);
  go();
}
for (const link of all(document, 'a[href^="#"]'))
  link.addEventListener('click', (event) => {
    event.preventDefault();
    visit(link.getAttribute('href'));
  });
open();
