import { useId } from 'react';
import { STRINGS } from '../strings';
import styles from './chart.module.css';

type Series = { name: string; values: number[] };
type ChartData = { title: string; unit: string; labels: string[]; series: Series[] };

const WIDTH = 600;
const HEIGHT = 220;
const PLACE = { left: 44, right: 12, top: 12, bottom: 28 };
const MOST_SERIES = 4;
const MOST_VALUES = 100;
const LINES = 4;

/** The data of a `data-chart` part: `{title, unit, labels, series: [{name, values}]}`. Undefined for any other shape. */
export function asChart(data: unknown): ChartData | undefined {
  const { title, unit, labels, series } = (data ?? {}) as Record<string, unknown>;
  if (!Array.isArray(labels) || !Array.isArray(series)) return undefined;
  const read = series.slice(0, MOST_SERIES).map(asSeries);
  if (read.length === 0 || !read.every((one) => one !== undefined)) return undefined;
  return {
    title: typeof title === 'string' ? title : STRINGS.chart,
    unit: typeof unit === 'string' ? unit : '',
    labels: labels.slice(0, MOST_VALUES).map(String),
    series: read,
  };
}

function asSeries(value: unknown): Series | undefined {
  const { name, values } = (value ?? {}) as Record<string, unknown>;
  if (!Array.isArray(values) || !values.every((one) => typeof one === 'number' && Number.isFinite(one))) return undefined;
  return { name: String(name ?? ''), values: (values as number[]).slice(0, MOST_VALUES) };
}

/** Lines over named points, and the same numbers as a table for those who cannot see them. */
export function Chart({ title, unit, labels, series }: ChartData) {
  const id = useId();
  const scale = scaleOf(series.flatMap(({ values }) => values));
  const x = (index: number) =>
    PLACE.left + (index / Math.max(labels.length - 1, 1)) * (WIDTH - PLACE.left - PLACE.right);
  const y = (value: number) =>
    HEIGHT - PLACE.bottom - ((value - scale.low) / (scale.high - scale.low)) * (HEIGHT - PLACE.top - PLACE.bottom);
  const everyLabel = Math.ceil(labels.length / 8);
  return (
    <figure className={styles.chart} data-testid="chart" aria-labelledby={id}>
      <figcaption className={styles.caption}>
        <span id={id} className={styles.title}>
          {title}
        </span>
        <span className={styles.legend}>
          {series.map(({ name }, index) => (
            <span key={index} className={styles[`s${index}`]}>
              {name}
            </span>
          ))}
        </span>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
        {scale.steps.map((step) => (
          <g key={step} className={styles.grid}>
            <line x1={PLACE.left} x2={WIDTH - PLACE.right} y1={y(step)} y2={y(step)} />
            <text x={PLACE.left - 8} y={y(step) + 4} textAnchor="end">
              {step}
            </text>
          </g>
        ))}
        {labels.map((label, index) =>
          index % everyLabel === 0 ? (
            <text key={index} className={styles.tick} x={x(index)} y={HEIGHT - 8} textAnchor="middle">
              {label.slice(0, 10)}
            </text>
          ) : null,
        )}
        {series.map(({ values }, number) => (
          <g key={number} className={styles[`s${number}`]}>
            <polyline points={values.map((value, index) => `${x(index)},${y(value)}`).join(' ')} />
            {values.map((value, index) => (
              <circle key={index} cx={x(index)} cy={y(value)} r="3.5" />
            ))}
          </g>
        ))}
      </svg>
      <table className="visually-hidden">
        <caption>
          {title} {unit && `(${unit})`}
        </caption>
        <thead>
          <tr>
            <td />
            {labels.map((label, index) => (
              <th key={index} scope="col">
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {series.map(({ name, values }, index) => (
            <tr key={index}>
              <th scope="row">{name}</th>
              {values.map((value, place) => (
                <td key={place}>{value}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  );
}

type Scale = { low: number; high: number; steps: number[] };

/** Round numbers around all values. */
function scaleOf(values: readonly number[]): Scale {
  const lowest = Math.min(...values);
  const highest = Math.max(...values);
  const rough = Math.max(highest - lowest, Math.abs(highest) / 10, Number.MIN_VALUE * 1e3) / LINES;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const low = Math.floor(lowest / size) * size;
  const count = Math.min(Math.max(Math.ceil((highest - low) / size), 1), 2 * LINES);
  const steps = Array.from({ length: count + 1 }, (_, index) => Number((low + index * size).toPrecision(12)));
  return { low, high: low + count * size, steps };
}
