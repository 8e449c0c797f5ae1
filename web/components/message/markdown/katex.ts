// A module of its own, so that it comes with its style sheet when the first formula does.
import 'katex/dist/katex.min.css';

import katex from 'katex';

export default katex;
