/** The page begins here. */

import { applyTheme } from "./shell/theme.js";
import "./shell/app.js";

applyTheme();
