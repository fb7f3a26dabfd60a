/** Boxes, outlines, keypoints and labels, drawn on a canvas that is `scale` times as large as the picture. */

import { css, inkOn, objectColour } from "./colours.js";

/** Keypoints that the model is less sure of are not drawn, as in the server's pictures. */
const SURE = 0.5;

// COCO's seventeen points of a person, from 0.
const PERSON = [
  [15, 13], [13, 11], [16, 14], [14, 12], [11, 12], [5, 11], [6, 12], [5, 6], [5, 7], [6, 8], [7, 9], [8, 10],
  [1, 2], [0, 1], [0, 2], [1, 3], [2, 4], [3, 5], [4, 6],
];

/**
 * @param {CanvasRenderingContext2D} context
 * @param {any[]} objects of an answer of a detector, best first
 * @param {{scale: number, chosen?: number|null, labels?: boolean}} view `chosen`: the index of the one that stands out
 */
export function drawObjects(context, objects, { scale, chosen = null, labels = true }) {
  const line = Math.max(2, Math.min(8, Math.max(context.canvas.width, context.canvas.height) / 300));
  for (let index = objects.length - 1; index >= 0; index -= 1) {
    const object = objects[index];
    const colour = objectColour(object.class_id);
    context.globalAlpha = chosen === null || chosen === index ? 1 : 0.35;
    outline(context, object, scale, line, colour);
    points(context, object.keypoints ?? [], scale, line, colour);
    if (labels) label(context, object, scale, line, colour);
  }
  context.globalAlpha = 1;
}

/** The corners of an object's outline. */
function corners({ oriented_box: oriented, box }) {
  if (oriented) return oriented.corners;
  return [[box.x_min, box.y_min], [box.x_max, box.y_min], [box.x_max, box.y_max], [box.x_min, box.y_max]];
}

function outline(context, object, scale, line, colour) {
  context.beginPath();
  for (const [x, y] of corners(object)) context.lineTo(x * scale, y * scale);
  context.closePath();
  context.lineJoin = "round";
  // A pale rim, so that a dark colour shows on a dark picture.
  for (const [width, stroke] of [[line + 2, "rgb(255 255 255 / 0.7)"], [line, css(colour)]]) {
    context.lineWidth = width;
    context.strokeStyle = stroke;
    context.stroke();
  }
}

function points(context, keypoints, scale, line, colour) {
  const sure = keypoints.map((point) => (point.score === undefined || point.score === null || point.score >= SURE ? point : null));
  context.lineWidth = line;
  context.strokeStyle = css(colour);
  for (const [from, to] of keypoints.length === 17 ? PERSON : []) {
    if (sure[from] === null || sure[to] === null) continue;
    context.beginPath();
    context.moveTo(sure[from].x * scale, sure[from].y * scale);
    context.lineTo(sure[to].x * scale, sure[to].y * scale);
    context.stroke();
  }
  for (const point of sure) {
    if (point === null) continue;
    context.beginPath();
    context.arc(point.x * scale, point.y * scale, 1.6 * line, 0, 2 * Math.PI);
    context.fillStyle = css(colour);
    context.fill();
    context.lineWidth = Math.max(1, line / 3);
    context.strokeStyle = "#fff";
    context.stroke();
  }
}

function label(context, object, scale, line, colour) {
  const size = Math.max(11, Math.min(30, Math.max(context.canvas.width, context.canvas.height) / 50));
  context.font = `600 ${size}px system-ui, sans-serif`;
  const text = `${object.label} ${object.score.toFixed(2)}`;
  const [width, height] = [context.measureText(text).width + size * 0.7, size * 1.45];
  const left = Math.max(0, Math.min(object.box.x_min * scale - line / 2, context.canvas.width - width));
  const top = object.box.y_min * scale - height;
  const y = top >= 0 ? top : object.box.y_min * scale;
  context.fillStyle = css(colour);
  context.fillRect(left, y, width, height);
  context.fillStyle = inkOn(colour);
  context.textBaseline = "middle";
  context.fillText(text, left + size * 0.35, y + height / 2);
}

/** A cross at a point that was chosen. */
export function drawPoint(context, x, y, scale) {
  const reach = Math.max(8, Math.max(context.canvas.width, context.canvas.height) / 60);
  for (const [width, stroke] of [[5, "#fff"], [2, "#000"]]) {
    context.lineWidth = width;
    context.strokeStyle = stroke;
    context.beginPath();
    context.moveTo(x * scale - reach, y * scale);
    context.lineTo(x * scale + reach, y * scale);
    context.moveTo(x * scale, y * scale - reach);
    context.lineTo(x * scale, y * scale + reach);
    context.stroke();
  }
}

/** A box that was chosen, dashed. @param {number[]} box `[x0, y0, x1, y1]` in pixels of the picture */
export function drawBox(context, [x0, y0, x1, y1], scale) {
  for (const [stroke, dash] of [["#fff", []], ["#000", [8, 6]]]) {
    context.lineWidth = 2.5;
    context.strokeStyle = stroke;
    context.setLineDash(dash);
    context.strokeRect(x0 * scale, y0 * scale, (x1 - x0) * scale, (y1 - y0) * scale);
  }
  context.setLineDash([]);
}

/** The edge of what the model saw, where that is not the whole picture. */
export function drawSeen(context, placement, scale) {
  const span = ({ scale: by, offset, input, original }) => [
    Math.max(0, -offset / by), Math.min(original, (input - offset) / by),
  ];
  const [[x0, x1], [y0, y1]] = [span(placement.x), span(placement.y)];
  if (x0 < 0.5 && y0 < 0.5 && x1 > placement.x.original - 0.5 && y1 > placement.y.original - 0.5) return;
  context.lineWidth = 1.5;
  context.strokeStyle = "rgb(255 255 255 / 0.8)";
  context.setLineDash([6, 5]);
  context.strokeRect(x0 * scale, y0 * scale, (x1 - x0) * scale, (y1 - y0) * scale);
  context.setLineDash([]);
}
