// Copyright (c) mmskysense contributors. Licensed under Apache-2.0.
// The interactive page of a map: layers with sliders, legend, position.
'use strict';

(() => {
  const data = window.pageData;
  const frame = data.frame;
  const NODATA = 255;

  // --- The map -----------------------------------------------------------

  const simple = L.extend({}, L.CRS.Simple, {
    distance: (a, b) => Math.hypot(a.lat - b.lat, a.lng - b.lng) *
      (frame.metres || 1),
  });
  const crs = frame.mercator ? L.CRS.EPSG3857 : simple;
  const map = L.map('map', {
    crs, zoomSnap: 0.25, minZoom: -10, maxZoom: 26, zoomControl: false,
    maxBoundsViscosity: 0.5,
  });
  const [left, bottom, right, top] = frame.bounds;
  const corner = (x, y) => frame.mercator ?
    L.CRS.EPSG3857.unproject(L.point(x, y)) : L.latLng(y, x);
  const bounds = L.latLngBounds(corner(left, bottom), corner(right, top));
  const panel = document.getElementById('panel');
  // The panel covers a part: the map is fitted into the rest.
  const isNarrow = panel.offsetWidth > map.getSize().x / 2;
  const fit = () => map.fitBounds(bounds, {
    animate: false,
    paddingTopLeft: [10, isNarrow ? 50 : 10],
    paddingBottomRight: isNarrow ? [10, panel.offsetHeight + 50] :
      [panel.offsetWidth + 20, 40]});
  fit();
  map.setMaxBounds(bounds.pad(4));
  L.control.zoom({position: 'topleft'}).addTo(map);
  map.attributionControl.setPrefix('Leaflet ' + L.version);

  const Scale = L.Control.Scale.extend({
    _updateMetric(metres) {
      if (frame.metres) {
        return L.Control.Scale.prototype._updateMetric.call(this, metres);
      }
      const count = this._getRoundNum(metres);
      return this._updateScale(this._mScale, count + ' px', count / metres);
    },
  });
  new Scale({imperial: false, maxWidth: 140}).addTo(map);

  // Enlarged pictures show their pixels, shrunk ones are smoothed.
  const sharpen = () => {
    const size = map.latLngToLayerPoint(bounds.getNorthEast()).x -
      map.latLngToLayerPoint(bounds.getSouthWest()).x;
    map.getContainer().classList.toggle('crisp', size > frame.shape[1]);
  };
  map.on('zoomend', sharpen);
  sharpen();

  // --- Pictures that hold values are coloured here -----------------------

  const loadImage = (address) => new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error('cannot read a picture'));
    image.src = address;
  });

  async function loadValues(address) {
    const image = await loadImage(address);
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext('2d', {willReadFrequently: true});
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    const values = new Uint8Array(canvas.width * canvas.height);
    for (let i = 0; i < values.length; i++) values[i] = pixels.data[4 * i];
    return {values, pixels, canvas, context};
  }

  // colours: 255 entries of [red, green, blue]
  function colour(loaded, colours) {
    const {values, pixels, canvas, context} = loaded;
    for (let i = 0; i < values.length; i++) {
      const entry = colours[values[i]] || [0, 0, 0];
      pixels.data.set(entry, 4 * i);
      pixels.data[4 * i + 3] = values[i] === NODATA ? 0 : 255;
    }
    context.putImageData(pixels, 0, 0);
    return canvas.toDataURL('image/png');
  }

  function ramp(stops) {
    const colours = [];
    for (let i = 0; i < NODATA; i++) {
      const place = i / (NODATA - 1) * (stops.length - 1);
      const low = Math.min(Math.floor(place), stops.length - 2);
      colours.push(stops[low].map(
        (v, c) => Math.round(v + (stops[low + 1][c] - v) * (place - low))));
    }
    return colours;
  }

  const css = (c) => `rgb(${c[0]}, ${c[1]}, ${c[2]})`;
  const element = (name, options = {}, ...children) => {
    const node = Object.assign(document.createElement(name), options);
    node.append(...children);
    return node;
  };
  const short = (value) => Math.abs(value) >= 1000 || value === 0 ?
    String(Math.round(value)) : String(Number(value.toPrecision(3)));

  // --- Layers ------------------------------------------------------------

  const shown = [];  // what the position line can tell about

  async function addLayer(layer, order) {
    const opacity = layer.on ? layer.opacity : 0;
    const overlay = L.imageOverlay(
      layer.file || '', bounds,
      {opacity, zIndex: order}).addTo(map);
    const check = element('input', {type: 'checkbox', checked: layer.on});
    const slider = element('input', {
      type: 'range', min: 0, max: 100, id: `opacity-${layer.id}`,
      value: Math.round(100 * opacity)});
    slider.setAttribute('aria-label', `opacity of ${layer.name}`);
    const number = element('output', {textContent: `${slider.value} %`});
    const box = element(
      'div', {className: 'layer', id: `layer-${layer.id}`},
      element('label', {}, check,
        element('span', {className: 'name', textContent: layer.name}),
        number), slider);
    document.getElementById('layers').append(box);
    const state = {layer, loaded: null, band: 0};
    let last = layer.opacity;  // what switching on goes back to
    const setOpacity = (value) => {
      overlay.setOpacity(value);
      number.textContent = `${Math.round(100 * value)} %`;
      slider.value = 100 * value;
      check.checked = value > 0;
      if (value > 0) last = value;
    };
    slider.addEventListener('input', () => setOpacity(slider.value / 100));
    check.addEventListener('change', () => setOpacity(
      check.checked ? last : 0));

    const colours = layer.kind === 'classes' ? data.classes.map(
      (c) => c.colour) : ramp(layer.stops || [[0, 0, 0], [255, 255, 255]]);
    async function showBand(number) {
      state.band = number;
      state.loaded = await loadValues(layer.bands[number].values);
      overlay.setUrl(colour(state.loaded, colours));
    }
    if (layer.kind !== 'image') {
      await showBand(0);
      shown.push(state);
    }
    if (layer.kind === 'values') {
      const band = layer.bands[0];
      const stops = layer.stops.map(css).join(', ');
      const bar = element('div', {className: 'ramp'});
      bar.style.background = `linear-gradient(90deg, ${stops})`;
      box.append(bar, element('div', {className: 'ends'},
        element('span', {textContent: short(band.low)}),
        element('span', {textContent: `${short(band.high)} ${band.unit}`})));
    }
    if (layer.kind === 'values' && layer.bands.length > 1) {
      const choice = element('select', {}, ...layer.bands.map(
        (band, i) => element('option', {value: i, textContent: band.name})));
      choice.setAttribute('aria-label', `class of ${layer.name}`);
      choice.addEventListener('change', () => showBand(Number(choice.value)));
      box.append(choice);
    }
  }

  // --- Legend and position -----------------------------------------------

  const entries = data.classes.map((c) => {
    const swatch = element('span', {className: 'swatch'});
    swatch.style.background = css(c.colour);
    const share = c.share > 0 && c.share < 0.0005 ? '< 0.1 %' :
      `${(100 * c.share).toFixed(1)} %`;
    return element('li', {}, swatch, c.name,
      element('span', {className: 'share', textContent: share}));
  });
  document.getElementById('legend').append(...entries);

  function pixelAt(place) {
    const [height, width] = frame.shape;
    const point = frame.mercator ? L.CRS.EPSG3857.project(place) :
      L.point(place.lng, place.lat);
    const column = Math.floor((point.x - left) / (right - left) * width);
    const row = Math.floor((top - point.y) / (top - bottom) * height);
    const inside = column >= 0 && column < width && row >= 0 && row < height;
    return inside ? row * width + column : -1;
  }

  function where(place) {
    if (!frame.mercator) {
      return `row ${Math.floor(-place.lat)}, column ` +
        `${Math.floor(place.lng)}`;
    }
    const side = (value, letters) =>
      `${Math.abs(value).toFixed(5)}° ${letters[value < 0 ? 1 : 0]}`;
    return `${side(place.lat, 'NS')}, ${side(place.lng, 'EW')}`;
  }

  const position = document.getElementById('position');
  map.on('mousemove', (event) => {
    const parts = [where(event.latlng)];
    const pixel = pixelAt(event.latlng);
    let here = -1;
    for (const {layer, loaded, band} of pixel < 0 ? [] : shown) {
      const value = loaded.values[pixel];
      if (value === NODATA) continue;
      if (layer.kind === 'classes') {
        here = value;
        parts.push(data.classes[value] ? data.classes[value].name :
          `class ${value}`);
      } else {
        const {low, high, name, unit} = layer.bands[band];
        const label = layer.bands.length > 1 ? `${layer.name}, ${name}` :
          layer.name;
        parts.push(`${label} ` +
          `${short(low + value / 254 * (high - low))} ${unit}`.trim());
      }
    }
    entries.forEach((e, i) => e.classList.toggle('here', i === here));
    position.textContent = parts.join('  ·  ');
  });
  map.on('mouseout', () => { position.textContent = ''; });

  (async () => {
    let order = 1;
    for (const layer of data.layers) await addLayer(layer, order++);
    fit();  // the panel has grown
    map.setMinZoom(map.getZoom() - 2);
    document.documentElement.dataset.ready = 'true';
  })().catch((error) => {
    position.textContent = String(error);
    document.documentElement.dataset.ready = 'failed';
  });
})();
